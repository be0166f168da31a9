"""Is the shipped baseline a model of the biased set? Shares of 2,000 samples against the truth, and a sheet of 64 for docs/.

python benchmarks/baseline.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiw
from tiw.model.device import pick_device, pick_precision
from tiw.pictures import contact_sheet
from tiw.shares import shares, with_crossings

ROOT = Path(__file__).parents[1]
N = 2000


def main() -> None:
    device = pick_device()
    denoiser = tiw.Denoiser.from_pretrained(ROOT / "checkpoints" / "baseline").prepare(device, pick_precision(device)).eval()
    classifier = tiw.AttributeClassifier.from_pretrained(ROOT / "checkpoints" / "classifier")
    truth = tiw.load_demo().truth["shares"]["biased"]
    images = tiw.sample(denoiser, range(N))
    labels = with_crossings(classifier.predict(images))
    found = shares(labels, {"skin x hair": list(truth)})
    rows = [{"subgroup": s.value, "truth": truth[s.value], "share": s.share, "interval": s.interval, "n": s.n} for s in found]
    worst = max(abs(row["share"] - row["truth"]) for row in rows)
    result = {"n": N, "subgroups": rows, "largest_deviation": worst}
    (ROOT / "benchmarks" / "results" / "baseline.json").write_text(json.dumps(result, indent=2) + "\n")
    (ROOT / "docs" / "baseline_samples.webp").write_bytes(contact_sheet(images[:64], columns=16))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
