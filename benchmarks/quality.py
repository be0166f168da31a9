"""Does it work? Every method against the same reference sets: shares, distances, variety and memorising, over seeds.

    make bench-quality                              # all of it: hours on 2 cores; what is there already is not done again
    python benchmarks/quality.py --grids tuning alternative --workers 2

Settings: the demo, with references of its own distribution drawn afresh for each seed (assets/build_demo.py --pool); Fashion-MNIST
(Debian's dataset-fashion-mnist) with a long tail over its ten classes, imbalance 100, and an even reference.
Methods: the objectives of the paper, guidance without training, and fine-tuning on the reference alone.

A budget in minutes is turned into steps by the speeds in SPEED, so that a cell is the same on any machine. A cell is one line of
benchmarks/results/quality.jsonl; evaluation draws 1,000 samples from seeds that no other stage uses. Rates are chosen in the grid
`tuning`, the same number of trials for each method, on a seed that is not used again. `benchmarks/figures.py` draws the figures.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from quality_settings import SETTINGS, WORK, Setting, prepare  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "quality.jsonl"

BATCH, EMA = 48, 0.95  # the defaults of `python -m tiw debias`
SAMPLES = 1000
SAMPLING = 0.03  # two measured discrepancies of one model differ by this much
# Images a second on 2 quiet cores at the demo's size (benchmarks/step.py); the long-tail set's network has a quarter of the positions.
SPEED = {"dsm": 165, "tiw": 130}
PAPER = ("dsm-ref", "dsm-obs", "iw-dsm", "tiw-dsm-paper", "correction-only", "weight-only")


@dataclass(frozen=True)
class Cell:
    """One trained and measured model."""

    setting: str  # demo, long-tail
    method: str  # an objective, guidance, or baseline
    references: int = 0
    seed: int = 0
    minutes: float = 0.0
    rate: float = 0.0  # 0: the usual one


def grids(best: dict[str, float]) -> dict[str, list[Cell]]:
    """The cells of every grid; `best`: learning rate per method, from the tuning. The default has its usual rate."""

    def cell(setting: str, method: str, references: int, seed: int, minutes: float) -> Cell:
        rate = 0.0 if method == "tiw-dsm" else best.get(method, best["tiw-dsm-paper"])
        return Cell(setting, method, references, seed, minutes, rate)

    seeds, both = (0, 1, 2), ("tiw-dsm", "dsm-ref")
    others = ("dsm-obs", "iw-dsm", "tiw-dsm-paper", "correction-only", "weight-only")
    table = [Cell("demo", "baseline", seed=s) for s in seeds]
    table += [Cell("demo", "guidance", n, s) for s in seeds for n in (400, 100)]
    table += [cell("demo", m, 400, s, 1.0) for s in seeds for m in others]
    tail = [Cell("long-tail", "baseline", seed=s) for s in seeds]
    tail += [Cell("long-tail", "guidance", 620, s) for s in seeds]
    tail += [cell("long-tail", m, 620, s, 1.0) for s in seeds for m in (*both, *others)]
    return {
        "tuning": [Cell("demo", m, 100, 100, 1.0, rate) for m in ("dsm-ref", "tiw-dsm-paper") for rate in (1e-4, 3e-4, 1e-3)],
        "alternative": [cell("demo", m, n, s, 1.0) for s in seeds for n in (50, 100, 400, 25) for m in both],
        "longer": [cell("demo", m, n, 0, minutes) for minutes in (5.0, 15.0, 60.0) for n in (100, 400) for m in both],
        "table": table,
        "tail": tail,
    }


def best_rates(rows: list[dict]) -> dict[str, float]:
    """Per method, of the rates whose discrepancy in the tuning is within SAMPLING of the least, the one with the least Frechet distance;
    the weighted objectives share that of TIW-DSM as in the paper, DSM(obs) that of DSM(ref)."""
    tried: dict[str, list[tuple[float, float, float]]] = {}
    for row in rows:
        c = row["cell"]
        if c["seed"] == 100:
            tried.setdefault(c["method"], []).append((row["fairness_discrepancy"], row["frechet_distance"], c["rate"]))
    rates = {"tiw-dsm-paper": 1e-4, "dsm-ref": 1e-4}
    for name, found in tried.items():
        least = min(found)[0]
        rates[name] = min((frechet, rate) for discrepancy, frechet, rate in found if discrepancy <= least + SAMPLING)[1]
    return rates | {"dsm-obs": rates["dsm-ref"]}


def read_rows() -> list[dict]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.is_file() else []


# ---------------------------------------------------------------- one cell


def reference_of(setting: Setting, n: int, seed: int):
    """`n` references drawn from the pool, every group equally often."""
    import numpy as np

    groups = setting.pool.attributes.agg("-".join, axis=1)
    rng = np.random.default_rng([seed, 77])
    order = rng.permutation(len(groups))
    turn = groups.iloc[order].groupby(groups.iloc[order]).cumcount().to_numpy()
    return setting.pool.take(np.sort(order[np.argsort(turn, kind="stable")[:n]]))


def ratio_of(setting: Setting, name: str, n: int, seed: int):
    """(DensityRatio, strength), fitted once for all methods."""
    from filelock import FileLock

    import tiw
    from tiw.ratio.density_ratio import DensityRatio
    from tiw.ratio.features import RatioConfig

    folder = WORK / "ratios" / f"{name}-{n}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        reference = reference_of(setting, n, seed)
        if not (folder / "strength.json").is_file():
            ratio = tiw.fit_density_ratio(setting.biased, reference, setting.baseline, RatioConfig(seed=seed))
            ratio.save(folder)
            match = tiw.match_strength(setting.baseline, ratio, setting.biased, reference, seed=seed)
            (folder / "strength.json").write_text(json.dumps(asdict(match)))
        strength = json.loads((folder / "strength.json").read_text())["strength"]
        return reference, DensityRatio.load(folder, setting.baseline), strength


def train(setting: Setting, cell: Cell):
    """(model or baseline, guidance arguments of `tiw.sample`, what to report)."""
    import tiw

    if cell.method == "baseline":
        return setting.baseline, {}, {}
    if cell.method in ("dsm-ref", "dsm-obs"):
        reference, ratio, strength = reference_of(setting, cell.references, cell.seed), None, 1.0
    else:
        reference, ratio, strength = ratio_of(setting, cell.setting, cell.references, cell.seed)
    if cell.method == "guidance":
        return setting.baseline, {"guidance": ratio, "strength": strength}, {"strength": strength}
    config = tiw.DebiasConfig(
        cell.method,
        1,
        strength,
        **({} if cell.method == "tiw-dsm" else {"reference_share": 0.5}),
        batch_size=BATCH,
        learning_rate=cell.rate,
        seed=1000 + cell.seed,
    )
    corrected = 0 if cell.method == "iw-dsm" else config.corrected_a_batch
    seconds = (config.batch_size - corrected) / SPEED["dsm"] + corrected / SPEED["tiw"]  # a step
    config = replace(config, steps=max(1, round(60 * cell.minutes * setting.speed / seconds)))
    model, effective = fine_tuned(setting.baseline, setting.biased, reference, ratio, config)
    return model, {}, {"steps": config.steps, "strength": None if ratio is None else strength, "effective_sample_size": effective}


def fine_tuned(baseline, biased, reference, ratio, config):
    """(the moving average of the fine-tuned weights, mean effective sample size)."""
    import copy

    import tiw
    from tiw.model.networks import EMAModel

    shown = copy.deepcopy(baseline).requires_grad_(False).eval()
    ema, effective = EMAModel(shown.parameters(), decay=EMA), []
    for step in tiw.debias(baseline, biased, reference, ratio, config):
        ema.step(step.denoiser.parameters())
        if step.effective_sample_size is not None:
            effective.append(step.effective_sample_size)
    ema.copy_to(shown.parameters())
    return shown, sum(effective) / len(effective) if effective else None


def measure(setting: Setting, cell: Cell) -> dict:
    import tiw
    from tiw.comparing.quality import closer_to_reference, fit_encoder, frechet_distance, kernel_distance, neighbour_shares
    from tiw.shares import fairness_discrepancy

    began = time.process_time()
    model, guidance, report = train(setting, cell)
    trained = time.process_time()
    first = 10_000_000 + 10_000 * cell.seed
    images = tiw.sample(model.eval(), range(first, first + SAMPLES), **guidance)
    counts = setting.counts(images)
    discrepancy = fairness_discrepancy(counts, setting.target, setting.target_n)
    encoder = fit_encoder(setting.heldout.images, "the held-out images")
    found, real = encoder(images), encoder(setting.heldout.images)
    near = asdict(neighbour_shares(found, real))
    row = {
        "cell": asdict(cell),
        "n": SAMPLES,
        "counts": counts.tolist(),
        "fairness_discrepancy": discrepancy.value,
        "fairness_discrepancy_interval": discrepancy.interval,
        "frechet_distance": frechet_distance(found, real).value,
        "kernel_distance": kernel_distance(found, real).value,
        **near,
        **report,
    }
    if cell.references:
        reference = reference_of(setting, cell.references, cell.seed)
        row["closer_to_reference"] = closer_to_reference(found, encoder(reference.images), real, cell.seed).value
    return row | {"core_seconds_training": trained - began, "core_seconds": time.process_time() - began}


def about(setting: Setting, name: str) -> dict:
    """What a perfect generator would score at this n, and the share of the biased images that a ratio all but drops, over noise levels."""
    import numpy as np

    from tiw.comparing.quality import fit_encoder, frechet_floor, kernel_distance
    from tiw.shares import floor

    features = fit_encoder(setting.heldout.images, "the held-out images")(setting.heldout.images)
    return {
        "fairness_discrepancy": asdict(floor(SAMPLES, setting.target)),
        "frechet_distance": asdict(frechet_floor(features, SAMPLES)),
        "kernel_distance": kernel_distance(features[::2], features[1::2]).value,
        "classifier_accuracy": setting.classifier_accuracy,
        "weights": [
            {"references": n, "sigma": ratio.sigmas.tolist(), "below_0.01": (ratio.log_ratio_biased < np.log(0.01)).mean(1).tolist()}
            for n in (400, 620)
            if (WORK / "ratios" / f"{name}-{n}-0" / "ratio.json").is_file()
            for _, ratio, _ in [ratio_of(setting, name, n, 0)]
        ],
    }


_SETTINGS: dict[str, Setting] = {}


def work(cell: Cell) -> dict:
    """In a worker: the setting is opened once."""
    if cell.setting not in _SETTINGS:
        _SETTINGS[cell.setting] = SETTINGS[cell.setting]()
    return measure(_SETTINGS[cell.setting], cell)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grids", nargs="+", default=list(grids(best_rates([]))))
    parser.add_argument("--methods", nargs="+", default=["tiw-dsm", *PAPER, "guidance", "baseline"])
    parser.add_argument("--references", nargs="+", type=int, help="only cells with these numbers of references")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of one thread each")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # several cells side by side beat several threads in one
    spawn = multiprocessing.get_context("spawn")
    touched: set[str] = set()
    for name in args.grids:
        cells = grids(best_rates(read_rows()))[name]
        done = {json.dumps(row["cell"], sort_keys=True) for row in read_rows()}
        left = [c for c in dict.fromkeys(cells) if c.method in args.methods and json.dumps(asdict(c), sort_keys=True) not in done]
        left = [c for c in left if not args.references or c.references in args.references]
        if not left:
            continue
        prepare(own := {c.setting for c in left})
        touched |= own
        with spawn.Pool(min(args.workers, len(left))) as pool:
            for row in pool.imap_unordered(work, left):
                with RESULTS.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                c = row["cell"]
                shown = {k: round(row[k], 4) for k in ("fairness_discrepancy", "frechet_distance", "core_seconds")}
                print(name, c["method"], c["references"], c["minutes"], c["rate"], "seed", c["seed"], shown, flush=True)
    path = RESULTS.parent / "quality_settings.json"
    described = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(described | {name: about(SETTINGS[name](), name) for name in touched}, indent=2) + "\n")


if __name__ == "__main__":
    main()
