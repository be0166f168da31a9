"""Which combination of TIW-DSM, guidance and references should be the default? On a set of benchmarks/sets.py, at equal nominal time.

    python benchmarks/defaults.py garments --references 100 --seeds 0 1

A budget is counted in steps of DSM(ref); a corrected image costs as many more as CORRECTED says, measured once, paired, on this network. A
cell is one line of benchmarks/results/defaults.jsonl; 1,000 samples from seeds of their own.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import made  # noqa: E402
import numpy as np  # noqa: E402
import sets  # noqa: E402
import versus  # noqa: E402
from pages import as_table  # noqa: E402

import tiw  # noqa: E402
from tiw.comparing.quality import closer_to_reference, fit_encoder, frechet_distance, neighbour_shares  # noqa: E402
from tiw.debiasing.strength import gap_closed  # noqa: E402
from tiw.model.device import pick_device  # noqa: E402
from tiw.ratio.features import RatioConfig  # noqa: E402
from tiw.shares import fairness_discrepancy  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "defaults.jsonl"
SAMPLES = 1000
CORRECTED = 0.26  # what the correction of an image costs beside its step; benchmarks/step.py, batches of 48
ALONE = {
    "reference alone": {"objective": "dsm-ref", "learning_rate": 3e-4},
    "reference alone, 1e-3": {"objective": "dsm-ref", "learning_rate": 1e-3},
}
METHODS = ALONE | {"TIW-DSM": {}}  # the default


def references(parts: dict, n: int, seed: int):
    """`n` of the pool, every group equally often."""
    labels, _ = made.group_index(parts["pool"])
    order = np.random.default_rng([seed, 77]).permutation(len(labels))
    turn = [int((labels[order[:i]] == labels[k]).sum()) for i, k in enumerate(order)]
    return parts["pool"].take(np.sort(order[np.argsort(turn, kind="stable")[:n]]))


def results() -> dict[tuple[str, int, int], dict[str, dict]]:
    """(set, references, draw) -> method -> its row."""
    found: dict = {}
    for row in map(json.loads, RESULTS.read_text().splitlines()):
        cell = row["cell"]
        found.setdefault((cell["set"], cell["references"], cell["seed"]), {})[cell["method"]] = row
    return dict(sorted(found.items()))


def table() -> str:
    """The committed results, as docs/RESULTS.md has them: means over the draws."""
    found = results()
    out = [("set", "references", "draws", *METHODS)]
    for of_set, n in dict.fromkeys(key[:2] for key in found):
        own = [found[key] for key in found if key[:2] == (of_set, n)]
        out.append((of_set, str(n), str(len(own)), *(means([rows[m] for rows in own]) for m in METHODS)))
    return as_table(out)


def means(rows: list[dict]) -> str:
    """Discrepancy, Frechet distance and nearer to a reference over the draws."""
    d, f, c = (np.mean([row[k] for row in rows]) for k in ("fairness_discrepancy", "frechet_distance", "closer_to_reference"))
    return f"{d:.3f}, {f:.1f}, {100 * c:.0f} %"


def summary() -> str:
    """Markdown: in how many cells TIW-DSM is level with the reference alone or ahead of it. In each cell the reference alone has the rate
    with the lower mean discrepancy on the other draws of that set and number of references."""
    found = results()
    rows = []
    for (of_set, n, seed), own in found.items():
        others = [found[key] for key in found if key[:2] == (of_set, n) and key[2] != seed]
        alone = min(ALONE, key=lambda method: np.mean([rows[method]["fairness_discrepancy"] for rows in others]))
        rows.append((n, own["TIW-DSM"], own[alone]))
    return versus.table(rows)


def run(name: str, sizes: list[int], seeds: list[int], budget: int, methods: dict[str, dict], out: Path) -> None:
    """Train and measure on every draw what `out` does not hold yet. `methods`: name -> fields of `tiw.DebiasConfig`."""
    parts, classifier = sets.load_set(name), made.make_classifier(name)
    baseline = tiw.Denoiser.from_pretrained(made.folder(name)).prepare(pick_device(), made.PRECISION).requires_grad_(False).eval()
    encoder = fit_encoder(parts["heldout"].images, "the held-out images")
    real = encoder(parts["heldout"].images)
    done = [json.loads(line)["cell"] for line in out.read_text().splitlines()] if out.is_file() else []
    for seed, n in product(seeds, sizes):
        reference, fitted = references(parts, n, seed), None
        for method, fields in methods.items():
            cell = {"set": name, "references": n, "seed": seed, "budget": budget, "method": method}
            if cell in done:
                continue
            config = tiw.DebiasConfig(**fields, seed=1000 + seed)
            if config.objective != "dsm-ref":
                if fitted is None:
                    ratio = tiw.fit_density_ratio(parts["biased"], reference, baseline, RatioConfig(seed=seed, biased_images=1500))
                    fitted = ratio, tiw.match_strength(baseline, ratio, parts["biased"], reference, seed=seed, count=240)
                config = replace(config, strength=fields.get("strength", fitted[1].strength))
            ratio = None if config.objective == "dsm-ref" else fitted[0]
            cost = 1 + CORRECTED * config.corrected_a_batch / config.batch_size  # of a step, in steps of DSM(ref)
            config = replace(config, steps=round(budget / cost))
            *_, last = tiw.debias(baseline, parts["biased"], reference, ratio, config, ema=0.95)
            first = 10_000_000 + 10_000 * seed
            images = tiw.sample(last.average, range(first, first + SAMPLES))
            found, counts = encoder(images), np.bincount(made.predicted(classifier, images), minlength=4)
            row = {
                "cell": cell,
                "n": len(images),
                "shares": (counts / len(images)).round(3).tolist(),
                "fairness_discrepancy": fairness_discrepancy(counts, np.full(4, 0.25)).value,
                "frechet_distance": frechet_distance(found, real).value,
                **asdict(neighbour_shares(found, real)),
                "closer_to_reference": closer_to_reference(found, encoder(reference.images), real, seed).value,
                "steps": config.steps,
                "strength": config.strength,
            }
            if fitted is not None:
                lags = tiw.measure_lagging(last.average, baseline, fitted[0], parts["biased"], seed)
                row["lagging"] = [(g.samples.value, g.reference.value, g.part.value) for g in lags.lagging]
                closed = fitted[1].closed(gap_closed(fitted[0], images, seed))
                row["gap_closed"] = None if closed is None else closed.value
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=list(sets.MAKERS))
    parser.add_argument("--references", type=int, nargs="+", default=[100])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--budget", type=int, default=300)
    args = parser.parse_args()
    run(args.name, args.references, args.seeds, args.budget, METHODS, RESULTS)


if __name__ == "__main__":
    main()
