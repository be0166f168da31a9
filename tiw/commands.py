"""What each user action does, for the command line and the app alike: options in, a run folder filled."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from .attributes import AttributeClassifier, fit_attribute_classifier
from .audit import audit as run_audit
from .compare import measure
from .data import ImageSet, demo_path, load_demo, load_set, parse_shares, write_split
from .debias import DebiasConfig, TrainStep
from .debias import debias as run_debias
from .denoiser import Denoiser
from .device import pick_device, pick_precision
from .embedding import layouts, principal_plane
from .errors import UserInputError
from .features import RatioConfig, RatioFeatures, ratio_features
from .networks import PRESETS
from .options import (
    AuditOptions,
    CompareOptions,
    DebiasOptions,
    DemoOptions,
    PreviewOptions,
    SampleOptions,
    SplitOptions,
    TrainOptions,
)
from .pictures import contact_sheet
from .ratio import DensityRatio, fit_to_features
from .runs import RunFolder, Stopped, now, write_atomic
from .sampling import sample as draw_samples
from .strength import Estimate, StrengthMatch, gap_closed, match_strength
from .training import train_to_folder

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"


def audit(run: RunFolder, o: AuditOptions) -> dict:
    """Ratio, diagnostics and charts; then the map, while the charts are already there."""
    biased, reference, denoiser = _inputs(run, o)
    config = RatioConfig(folds=o.folds, biased_images=o.scored, seed=o.seed)
    features = ratio_features(biased, reference, denoiser, config, _report(run, "Encoding images at every noise level"))
    run.progress("Fitting the density ratio", 0, 1)
    ratio = fit_to_features(features, denoiser.requires_grad_(False).eval(), config)
    ratio.save(run.path / "ratio")
    run.progress("Measuring", 0, 1)
    found = run_audit(biased, reference, ratio, seed=o.seed)
    found.scores().to_parquet(run.path / "scores.parquet", index=False)
    result = found.to_json()
    run.write_result(result)
    if o.map:
        _write_map(run, features, o.seed)
        del features
    _strength(run, run.path, "auto", denoiser, ratio, biased, reference, o.seed)  # so that a preview takes seconds
    return result


def preview(run: RunFolder, o: PreviewOptions) -> dict:
    """The baseline's samples, plain and guided at the matched strength, from the same seeds."""
    biased, reference, denoiser, ratio = _inputs_and_ratio(run, o)
    match = _strength(run, Path(o.audit) if o.audit else run.path, o.strength, denoiser, ratio, biased, reference, o.seed)
    seeds = range(o.seed, o.seed + o.count)
    common = {"steps": o.sampling_steps, "solver": o.solver}
    plain = draw_samples(denoiser, seeds, on_batch=_report_of(run, "Sampling the baseline", o.count), **common)
    report = _report_of(run, "Sampling with guidance", o.count)
    guided = draw_samples(denoiser, seeds, guidance=ratio, strength=match.strength, on_batch=report, **common)
    np.savez(run.path / "samples.npz", seeds=np.array(seeds), baseline=plain, debiased=guided)
    return {
        "strength": match.strength,
        "strength_match": asdict(match),
        "gap_closed": asdict(match.closed(gap_closed(ratio, guided, o.seed))),
    }


def debias(run: RunFolder, o: DebiasOptions) -> dict:
    """Fine-tune the baseline; see `tiw.debias`. Ends with the debiased model in RUN/model."""
    needs_ratio = o.objective not in ("dsm-ref", "dsm-obs")
    if needs_ratio:
        biased, reference, denoiser, ratio = _inputs_and_ratio(run, o)
        match = _strength(run, Path(o.audit) if o.audit else run.path, o.strength, denoiser, ratio, biased, reference, o.seed)
    else:
        (biased, reference, denoiser), ratio, match = _inputs(run, o), None, None
    config = DebiasConfig(
        objective=o.objective,
        strength=1.0 if match is None else match.strength,
        anchor=o.anchor,
        reference_share=o.reference_share,
        batch_size=o.batch_size,
        learning_rate=o.learning_rate,
        weight_clip=o.weight_clip,
        sigma_min=o.sigma_min,
        sigma_max=o.sigma_max,
        seed=o.seed,
    )

    def steps_of(config: DebiasConfig, resume: dict | None) -> Iterator[TrainStep]:
        return run_debias(denoiser, biased, reference, ratio, config, resume=resume)

    gap = None if ratio is None else lambda images: match.closed(gap_closed(ratio, images, o.seed))
    trained = train_to_folder(run, o, config, denoiser, steps_of, gap)
    return {
        "objective": o.objective,
        "strength": config.strength if match is not None else None,
        "strength_match": None if match is None else asdict(match),
        "anchor": o.anchor,
        **trained,
    }


def train(run: RunFolder, o: TrainOptions) -> dict:
    """Train a baseline from scratch: DSM on one set. Ends with the model in RUN/model."""
    if o.preset not in PRESETS:
        raise UserInputError("preset", f"no network is named {o.preset!r}", f"choose one of {', '.join(PRESETS)}")
    data = _read(run, o, o.data, "biased")
    torch.manual_seed(o.seed)
    device = pick_device(o.device)
    denoiser = Denoiser.new(PRESETS[o.preset]).prepare(device, pick_precision(device, o.precision))
    _check_resolution("data", data, denoiser)
    config = DebiasConfig("dsm-obs", reference_share=0.0, batch_size=o.batch_size, learning_rate=o.learning_rate, seed=o.seed)
    empty = data.take([])  # DSM on one set needs no reference
    return train_to_folder(run, o, config, denoiser, lambda c, resume: run_debias(denoiser, data, empty, None, c, resume=resume))


def sample(run: RunFolder, o: SampleOptions) -> dict:
    """Images from one model, one seed each."""
    denoiser = _denoiser(o.model, o.device)
    seeds = range(o.seed, o.seed + o.count)
    report = _report_of(run, "Sampling", o.count)
    images = draw_samples(denoiser, seeds, steps=o.sampling_steps, solver=o.solver, on_batch=report)
    np.savez(run.path / "samples.npz", images=images, seeds=np.array(seeds))
    write_atomic(run.path / "sheet.webp", contact_sheet(images[:64]))
    return {"n": o.count, "seeds": [o.seed, o.seed + o.count - 1]}


def compare(run: RunFolder, o: CompareOptions) -> dict:
    """Sample both models from the same seeds and measure them against the reference."""
    reference = _read(run, o, o.reference, "reference")
    demo = o.reference == "demo"
    heldout = _read(run, o, o.heldout or "demo", "heldout") if o.heldout or demo else None
    classifier = _classifier(run, o, o.labels or ("demo" if demo else ""))
    seeds = range(o.seed, o.seed + o.count)
    images = {}
    for name, path in (("baseline", o.baseline), ("debiased", o.debiased)):
        report = _report_of(run, f"Sampling the {name} model", o.count)
        images[name] = draw_samples(_denoiser(path, o.device), seeds, steps=o.sampling_steps, solver=o.solver, on_batch=report)
    np.savez(run.path / "samples.npz", seeds=np.array(seeds), **images)
    run.progress("Measuring", 0, 1)
    truth = load_demo().truth["shares"]["reference"] if demo else None
    return measure(images["baseline"], images["debiased"], reference, classifier, heldout, truth, o.seed).to_json()


def make_split(run: RunFolder, o: SplitOptions) -> dict:
    """Draw a biased, a reference and a held-out set from labels: RUN/biased.json, reference.json, heldout.json."""
    source = demo_path("biased") if o.data == "demo" else o.data
    how = asdict(o) | {name: parse_shares(getattr(o, name), name) for name in ("shares", "reference_shares")}
    return write_split(run.path, **how | {"data": source})


# Minutes of fine-tuning and samples of each model.
DEMO = {
    "quick": ({"minutes": 1.25}, 1000),
    "full": ({"minutes": 4.0}, 2000),
}


def demo(run: RunFolder, o: DemoOptions) -> dict:
    """Audit, debias and compare on the embedded demo, each in a run folder of its own below this one."""
    debias_options, count = DEMO[o.preset]
    common = {"seed": o.seed, "device": o.device}
    audited = _stage(run, "audit", AuditOptions(map=False, **common))
    debiased = _stage(run, "debias", DebiasOptions(audit=str(run.path / "audit"), **debias_options, **common))
    options = CompareOptions(debiased=str(run.path / "debias" / "model"), count=count, **common)
    compared = _stage(run, "compare", options)
    parts = {f"{name}_seconds": part["seconds"] for name, part in (("audit", audited), ("debias", debiased), ("compare", compared))}
    carried = {name: debiased[name] for name in ("objective", "strength", "gap_closed", "training_seconds", "steps")}
    return {**compared, **carried, **parts, "preset": o.preset, "seconds": sum(parts.values())}


EXECUTE: dict[str, Callable[[RunFolder, object], dict]] = {
    "audit": audit,
    "preview": preview,
    "debias": debias,
    "train": train,
    "sample": sample,
    "compare": compare,
    "make-split": make_split,
    "demo": demo,
}


def _inputs(run: RunFolder, o: AuditOptions | PreviewOptions | DebiasOptions) -> tuple[ImageSet, ImageSet, Denoiser]:
    """Both sets and the baseline, checked against each other before any work."""
    run.progress("Reading images", 0, 1)
    biased = _read(run, o, o.biased, "biased")
    reference = _read(run, o, o.reference, "reference", o.references)
    denoiser = _denoiser(o.baseline, o.device, getattr(o, "precision", "auto"))
    _check_resolution("biased", biased, denoiser)
    _check_resolution("reference", reference, denoiser)
    return biased, reference, denoiser


def _read(run: RunFolder, o: object, path: str, role: str, references: int = 0) -> ImageSet:
    """The set that an option names, in the options' resolution; files that were left out are listed in the run's log."""
    images = load_set(path, role, references, o.resolution, o.skip_bad)
    if images.skipped:
        with (run.path / "log.txt").open("a", encoding="utf-8") as log:
            log.writelines(f"{role}: left out {name}\n" for name in images.skipped)
    return images


def _inputs_and_ratio(run: RunFolder, o: PreviewOptions | DebiasOptions) -> tuple[ImageSet, ImageSet, Denoiser, DensityRatio]:
    """The inputs and the ratio: the named audit's, or RUN/ratio, fitted here if it is not there yet."""
    biased, reference, denoiser = _inputs(run, o)
    denoiser.requires_grad_(False).eval()
    if o.audit:
        about = RunFolder.open(o.audit).options
        for field in ("biased", "reference", "baseline", "references", "resolution", "skip_bad"):
            if getattr(about, field) != getattr(o, field):
                found = f"it was made with {field} {getattr(about, field)!r}, this run has {getattr(o, field)!r}"
                raise UserInputError("audit", found, "run the audit again on these inputs, or leave audit empty")
    folder = (Path(o.audit) if o.audit else run.path) / "ratio"
    if (folder / "ratio.json").is_file():
        return biased, reference, denoiser, DensityRatio.load(folder, denoiser)
    if o.audit:
        raise UserInputError("audit", f"{o.audit} holds no ratio", "wait until the audit has finished, or leave audit empty")
    config = RatioConfig(seed=o.seed)
    features = ratio_features(biased, reference, denoiser, config, _report(run, "Encoding images at every noise level"))
    run.progress("Fitting the density ratio", 0, 1)
    ratio = fit_to_features(features, denoiser, config)
    ratio.save(folder)
    return biased, reference, denoiser, ratio


def _write_map(run: RunFolder, features: RatioFeatures, seed: int) -> None:
    """RUN/map.parquet: item, level, x, y. Level -1 is the fixed layout at the lowest noise, by PCA at once and then by UMAP."""
    items = np.concatenate([features.scored, features.n_biased + np.arange(features.reference.shape[2])])
    of_level = [torch.cat([b, r[0]]).numpy() for b, r in zip(features.biased, features.reference, strict=True)]

    def write(parts: dict[int, np.ndarray]) -> None:
        frames = [pd.DataFrame({"item": items, "level": level, "x": xy[:, 0], "y": xy[:, 1]}) for level, xy in parts.items()]
        data = io.BytesIO()
        pd.concat(frames).to_parquet(data, index=False)
        write_atomic(run.path / "map.parquet", data.getvalue())

    run.progress("Drawing the map", 0, len(of_level))
    write({-1: principal_plane(of_level[0])})
    parts: dict[int, np.ndarray] = {}
    for level, xy in enumerate(layouts(of_level, seed)):
        parts |= {-1: xy, 0: xy} if level == 0 else {level: xy}
        write(parts)
        run.progress("Drawing the map", level + 1, len(of_level))
        if run.stop_requested():
            return


def _strength(
    run: RunFolder,
    folder: Path,
    wanted: str,
    denoiser: Denoiser,
    ratio: DensityRatio,
    biased: ImageSet,
    reference: ImageSet,
    seed: int,
) -> StrengthMatch:
    """A number as given, or matched; the match is kept beside its ratio, in `folder`, since it is the ratio's."""
    if wanted != "auto":
        return StrengthMatch(float(wanted), None)
    kept = folder / "strength.json"
    if kept.is_file():
        raw = json.loads(kept.read_text())
        return StrengthMatch(raw["strength"], Estimate(**raw["gap_closed"]), tuple(map(tuple, raw["trials"])))
    match = match_strength(denoiser, ratio, biased, reference, seed=seed, on_progress=_report(run, "Matching the strength"))
    write_atomic(kept, json.dumps(asdict(match)).encode())
    return match


def _denoiser(path: str, device: str, precision: str = "auto") -> Denoiser:
    where = pick_device(device)
    denoiser = Denoiser.from_pretrained(CHECKPOINTS / "baseline" if path == "demo" else path)
    return denoiser.prepare(where, pick_precision(where, precision)).requires_grad_(False).eval()


def _classifier(run: RunFolder, o: CompareOptions, labels: str) -> AttributeClassifier | None:
    if labels == "demo":
        return AttributeClassifier.from_pretrained(CHECKPOINTS / "classifier")
    return fit_attribute_classifier(_read(run, o, labels, "labels")) if labels else None


def _check_resolution(field: str, images: ImageSet, denoiser: Denoiser) -> None:
    side = denoiser.shape[-1]
    if images.images.shape[1] != side:
        found = f"its images are {images.images.shape[1]} pixels wide, the model paints {side}"
        raise UserInputError(field, found, f"set resolution to {side} to crop and resize them, or choose a model of their size")


def _report(run: RunFolder, stage: str) -> Callable[[int, int], None]:
    """A progress callback (done, total) that ends the work when a stop was asked for: nothing is lost that is not quickly made again."""

    def report(done: int, total: int) -> None:
        run.progress(stage, done, total)
        if run.stop_requested():
            raise Stopped

    return report


def _report_of(run: RunFolder, stage: str, total: int) -> Callable[[int], None]:
    report = _report(run, stage)
    return lambda done: report(done, total)


def _stage(run: RunFolder, kind: str, options: object) -> dict:
    """One action in a run folder of its own below RUN, done once; its result."""
    part = run.part(kind, options)
    if part.status()["state"] != "finished":
        part.write_status(state="running", started=now())
        part.write_result(EXECUTE[kind](part, options))
        part.write_status(state="finished", stage="Finished")
    return part.result()
