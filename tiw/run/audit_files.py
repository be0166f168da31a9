"""The files of an audit: tables, result, report, thumbnails, map, and the scores of the images that the charts do not show."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from ..auditing.audit import AuditResult, scored_rows
from ..auditing.map import layouts, nearest_across, principal_plane
from ..data import ImageSet
from ..files import as_csv, whole, write_atomic
from ..ratio.density_ratio import DensityRatio
from ..ratio.features import RatioFeatures, features_at
from . import names
from .folder import RunFolder
from .inputs import report
from .report import audit_html, with_about
from .thumbnails import write_thumbnails

REST_BATCH = 512  # images whose scores are held at once
CSV_ROWS = 50_000  # that are text at once


def write_audit(run: RunFolder, found: AuditResult) -> dict:
    """Everything that the page, the report and the downloads show; returns result.json."""
    tables = found.tables()
    _write_parquet(run, names.SCORES, tables["scores"])
    for name, table in tables.items():
        table = for_people(table, found.ratio.sigmas) if name == "scores" else table
        write_atomic(run.path / f"{name}.csv", as_csv(table))
    examples = np.array([item for suspect in found.camera for item in suspect.examples], int)
    write_thumbnails(run.path, found.biased, found.reference, np.r_[tables["scores"]["item"].to_numpy(), examples])
    result = found.to_json()
    run.write_result(result)
    report = audit_html(run.result(), found.biased, found.reference)
    write_atomic(run.path / names.REPORT, with_about(report, *run.about()).encode())
    return result


def for_people(scores: pd.DataFrame, sigmas: Sequence[float]) -> pd.DataFrame:
    """A table of scores under heads that say what stands below them: `file`, `row`, `log_ratio_at_0.03`."""
    heads = {f"log_ratio_{k}": f"log_ratio_at_{sigma:.3g}" for k, sigma in enumerate(sigmas)}
    return scores.rename(columns={"source": "file", "index": "row", **heads})


def score_rest(run: RunFolder, biased: ImageSet, reference: ImageSet, ratio: DensityRatio, seed: int) -> None:
    """RUN/rest.parquet, the end of scores.csv, and thumbnails: the biased images that the fit has not seen, by the mean of the folds."""
    rest = np.setdiff1d(np.arange(len(biased)), ratio.scored)
    scores = np.empty((len(ratio.sigmas), len(rest)), np.float32)
    say = report(run, "Scoring all other images")
    for start in range(0, len(rest), REST_BATCH):
        rows = rest[start : start + REST_BATCH]
        part = biased.take(rows)
        features = features_at(ratio.denoiser, part.images, rows, ratio.sigmas, seed, labels=part.labels)[:, 0]
        for level, sigma in enumerate(ratio.sigmas):
            own = features[level].to(ratio.log_sigmas.device)
            scores[level, start : start + REST_BATCH] = ratio.from_features(own, own.new_full((len(rows),), float(sigma))).cpu()
        say(min(start + REST_BATCH, len(rest)), len(rest))
    table = scored_rows("biased", 0, rest, scores, biased)
    _write_parquet(run, names.REST, table)
    scored = pd.read_parquet(run.path / names.SCORES)
    with whole(run.path / "scores.csv") as partial, partial.open("wb") as file:  # anew: an attempt before this one may have been cut
        file.write(as_csv(for_people(scored, ratio.sigmas)))
        for start in range(0, len(table), CSV_ROWS):
            rows = table.iloc[start : start + CSV_ROWS].reindex(columns=scored.columns)
            file.write(as_csv(for_people(rows, ratio.sigmas), head=False))
    write_thumbnails(run.path, biased, reference, rest)


def write_neighbours(run: RunFolder, features: RatioFeatures, seed: int) -> None:
    """RUN/near.parquet: item, near_0 .. near_5, the items of the other set that look most alike to the features, -1 for none."""
    items = np.concatenate([features.scored, features.n_biased + np.arange(features.reference.shape[2])])
    lowest = torch.cat([features.biased[0], features.reference[0, 0]]).numpy()
    rows = nearest_across(lowest, len(features.scored), seed=seed)
    near = np.where(rows < 0, -1, items[rows])
    _write_parquet(run, names.NEAR, pd.DataFrame({"item": items, **{f"near_{k}": column for k, column in enumerate(near.T)}}))


def write_map(run: RunFolder, features: RatioFeatures, seed: int) -> None:
    """RUN/map.parquet: item, level, x, y. Level -1 is the fixed layout at the lowest noise, by PCA at once and then by UMAP."""
    items = np.concatenate([features.scored, features.n_biased + np.arange(features.reference.shape[2])])
    of_level = [torch.cat([b, r[0]]).numpy() for b, r in zip(features.biased, features.reference, strict=True)]

    def write(parts: dict[int, np.ndarray]) -> None:
        frames = [pd.DataFrame({"item": items, "level": level, "x": xy[:, 0], "y": xy[:, 1]}) for level, xy in parts.items()]
        _write_parquet(run, names.MAP, pd.concat(frames))

    run.progress("Drawing the map", 0, len(of_level))
    write({-1: principal_plane(of_level[0])})
    parts: dict[int, np.ndarray] = {}
    for level, xy in enumerate(layouts(of_level, seed)):
        parts |= {-1: xy, 0: xy} if level == 0 else {level: xy}
        write(parts)
        run.progress("Drawing the map", level + 1, len(of_level))
        if run.stop_requested():
            return


def _write_parquet(run: RunFolder, name: str, table: pd.DataFrame) -> None:
    data = io.BytesIO()
    table.to_parquet(data, index=False)
    write_atomic(run.path / name, data.getvalue())
