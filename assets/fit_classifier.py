"""Fit the demo's attribute classifier on portraits that are in none of the demo's sets.

python assets/build_demo.py --pool 4000 --out DIR
python assets/fit_classifier.py --sets DIR
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tiw.comparing.classifier import fit_attribute_classifier  # noqa: E402
from tiw.data import load_images  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "checkpoints" / "classifier")
    args = parser.parse_args()
    classifier = fit_attribute_classifier(*(load_images(args.sets / f"classifier_{part}.parquet") for part in ("train", "test")))
    classifier.save_pretrained(args.out)
    for attribute in classifier.classes:
        right, n = classifier.accuracy(attribute)
        print(f"{attribute}: {right} of {n} held-out portraits right")


if __name__ == "__main__":
    main()
