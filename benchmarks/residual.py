"""How often does the test without labels raise a false alarm, and does it have the power that it prints? On sets with known truth.

python benchmarks/residual.py [--repeats 200]

Features are 16 normal numbers. One of them is moved by six standard deviations in the images that have an attribute; painting moves
another one in all samples. Writes benchmarks/results/residual.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from pages import as_table  # noqa: E402

from tiw.comparing.residual import SEEN, SMALLER, residual_test  # noqa: E402
from tiw.intervals import wilson  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "residual.json"
SETTINGS = {  # painting, shift left in the debiased samples' share, samples, references
    "nothing left, painting is perfect": (0.0, 0.0, 300, 200),
    "nothing left, painting shows": (0.5, 0.0, 300, 200),
    "nothing left, few references": (0.5, 0.0, 300, 60),
    "ten points left": (0.5, 0.1, 300, 200),
    "twenty points left": (0.5, 0.2, 300, 200),
    "thirty points left": (0.5, 0.3, 300, 200),
    "nothing left, many images": (0.5, 0.0, 2000, 1500),
    "ten points left, many images": (0.5, 0.1, 2000, 1500),
}


def images(n: int, share: float, painting: float, rng: np.random.Generator) -> np.ndarray:
    """Features [n, 16]."""
    x = rng.normal(size=(n, 16))
    x[:, 0] += 6 * (rng.random(n) < share)
    x[:, 1] += painting
    return x


def setting(painting: float, left: float, samples: int, references: int, repeats: int) -> dict:
    found = []
    for seed in range(repeats):
        rng = np.random.default_rng([seed, samples, references])
        sets = (
            images(samples, 0.1, painting, rng),
            images(samples, 0.5 - left, painting, rng),
            images(references, 0.5, 0.0, rng),
            images(4 * references, 0.1, 0.0, rng),
        )
        found.append(residual_test(*sets, permutations=99, seed=seed))
    excess = np.array([r.excess.value for r in found])
    low, high = np.array([r.excess.interval for r in found]).T

    def rate(hits: list[bool]) -> dict:
        return {"value": float(np.mean(hits)), "interval": wilson(int(np.sum(hits)), len(hits))}

    return {
        **{"painting": painting, "left": left, "samples": samples, "references": references, "repeats": repeats},
        "mean_excess": float(excess.mean()),
        "interval_holds_the_mean": rate(list((low <= excess.mean()) & (excess.mean() <= high))),
        "mean_smallest_seen": float(np.mean([r.smallest_seen for r in found])),
        "a difference is seen": rate([r.verdict == SEEN for r in found]),
        "smaller than the margin": rate([r.verdict == SMALLER for r in found]),
        "baseline seen": rate([r.baseline.p <= 0.05 for r in found]),
        "halves of the reference seen": rate([r.halves.p <= 0.05 for r in found]),
        "nearer": rate([r.nearer_p <= 0.05 and r.nearer.value > 0 for r in found]),
    }


def table() -> str:
    """The committed result, as docs/RESULTS.md has it: how often a difference is seen, beside the power that the test
    promises for the excess that there is."""
    head = (
        "setting",
        "samples, references",
        "excess",
        "seen at 80 %, as printed",
        "promised",
        "seen",
        "smaller than the margin",
        "halves seen",
    )
    rows = [head]
    normal = NormalDist()
    for name, row in json.loads(RESULTS.read_text()).items():
        deviation = row["mean_smallest_seen"] / (normal.inv_cdf(0.975) + normal.inv_cdf(0.8))
        promised = normal.cdf(row["mean_excess"] / deviation - normal.inv_cdf(0.975))
        shown = [_percent(row[key]) for key in ("a difference is seen", "smaller than the margin", "halves of the reference seen")]
        of_each, excess, smallest = f"{row['samples']:,}, {row['references']:,}", row["mean_excess"], row["mean_smallest_seen"]
        rows.append((name, of_each, f"{excess:+.3f}", f"{smallest:.3f}", f"{100 * promised:.0f} %", *shown))
    return as_table(rows)


def _percent(share: dict) -> str:
    low, high = share["interval"]
    return f"{100 * share['value']:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    args = parser.parse_args()
    rows = {}
    for name, values in SETTINGS.items():
        rows[name] = setting(*values, args.repeats if values[2] < 1000 else args.repeats // 4)
        print(name, {key: value if isinstance(value, float) else value["value"] for key, value in list(rows[name].items())[5:]}, flush=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
