"""Is a probe on the denoiser's frozen features better than one on pixels, where few images have labels? On the demo's held-out portraits.

python benchmarks/probe.py [--seeds 3]  (about two minutes on 2 CPU cores; writes benchmarks/results/probe.json)
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tiw import Denoiser, load_demo  # noqa: E402
from tiw.comparing.classifier import fit_attribute_classifier  # noqa: E402
from tiw.comparing.encoders import denoiser_encoder  # noqa: E402
from tiw.intervals import wilson  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "probe.json"
LABELS = (50, 100, 200, 400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    demo = load_demo()
    encoder = denoiser_encoder(Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline"))
    rows = []
    for n in LABELS:
        for name, seen in (("pixels", None), ("denoiser", encoder)):
            right = {attribute: [0, 0] for attribute in demo.heldout.attributes}
            for seed in range(args.seeds):
                chosen = np.random.default_rng(seed).permutation(len(demo.reference))[:n]
                probe = fit_attribute_classifier(demo.reference.take(chosen), demo.heldout, seed, encoder=seen)
                for attribute, counts in right.items():
                    k, of = probe.accuracy(attribute)
                    counts[0] += k
                    counts[1] += of
            for attribute, (k, of) in right.items():
                rows.append({"labels": n, "features": name, "attribute": attribute, "accuracy": k / of, "interval": wilson(k, of), "n": of})
                print(rows[-1], flush=True)
    RESULTS.write_text(json.dumps({"seeds": args.seeds, "tested_on": "demo heldout", "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
