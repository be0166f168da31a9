"""The three rows of README's table: the quick preset, fine-tuning on the reference alone for as long, and guidance without training.

python benchmarks/headline.py [--out runs/headline]      # about 8 minutes on 2 cores; a test holds README to the result

All three are counted on the same 1,000 seeds by the demo's classifier and measured against the demo's 2,000 held-out portraits.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from pages import as_table  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "headline.json"
COUNT = 1000
NAMES = {
    "baseline": "baseline, not debiased",
    "quick preset": "TIW-DSM, `tiw demo --preset quick`",
    "reference alone": "reference alone, as long",
    "guidance": "guidance, no training",
}


def table() -> str:
    """The committed result, as README has it."""
    lines = [("", "discrepancy", "Frechet distance", "nearer to a reference")]
    for name, row in json.loads(RESULT.read_text())["rows"].items():
        d, f, near = row["discrepancy"], row["frechet"], row["nearer_to_a_reference"]
        low, high = (f"{100 * x:.0f}" for x in near["interval"])
        lines.append(
            (
                NAMES[name],
                f"{d['value']:.3f} [{d['interval'][0]:.3f}, {d['interval'][1]:.3f}]",
                f"{f['value']:.0f} [{f['interval'][0]:.0f}, {f['interval'][1]:.0f}]",
                f"{100 * near['value']:.0f} % [{low}, {high}]",
            )
        )
    return as_table(lines)


def tiw_command(*words: str) -> float:
    """Run `python -m tiw ...`; the seconds it took."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "tiw", *words], cwd=ROOT, check=True)
    return time.monotonic() - began


def measured(images: np.ndarray) -> dict:
    """Shares, discrepancy, Frechet distance and memorising of samples of the demo's subjects."""
    import tiw
    from tiw.comparing.quality import closer_to_reference, fit_encoder, frechet_distance
    from tiw.shares import fairness_discrepancy, with_crossings

    demo = tiw.load_demo()
    truth = demo.truth["shares"]["reference"]
    classifier = tiw.AttributeClassifier.from_pretrained(ROOT / "checkpoints" / "classifier")
    counts = with_crossings(classifier.predict(images)).iloc[:, -1].value_counts().reindex(list(truth), fill_value=0).to_numpy()
    encode = fit_encoder(demo.heldout.images, "the held-out images")
    real, found, references = encode(demo.heldout.images), encode(images), encode(demo.reference.images)
    return {
        "n": len(images),
        "shares": dict(zip(truth, (counts / counts.sum()).tolist(), strict=True)),
        "discrepancy": asdict(fairness_discrepancy(counts, np.array(list(truth.values())))),
        "frechet": asdict(frechet_distance(found, real)),
        "nearer_to_a_reference": asdict(closer_to_reference(found, references, real)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "headline")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    quick, alone, alone_compare, guided = (str(out / name) for name in ("quick", "reference", "reference-compare", "guided"))
    seconds = {"quick preset": tiw_command("demo", "--out", quick, "--preset", "quick")}
    trained = json.loads((Path(quick) / "debias" / "result.json").read_text())
    minutes = json.loads((Path(quick) / "debias" / "config.json").read_text())["options"]["minutes"]
    seconds["reference alone"] = tiw_command("debias", "--out", alone, "--objective", "dsm-ref", "--minutes", str(minutes))
    tiw_command("compare", "--out", alone_compare, "--debiased", f"{alone}/model", "--count", str(COUNT))
    seconds["guidance"] = tiw_command("sample", "--out", guided, "--guidance", f"{quick}/audit", "--count", str(COUNT))
    samples = {
        "baseline": np.load(Path(quick) / "compare" / "samples.npz")["baseline"],
        "quick preset": np.load(Path(quick) / "compare" / "samples.npz")["debiased"],
        "reference alone": np.load(Path(alone_compare) / "samples.npz")["debiased"],
        "guidance": np.load(Path(guided) / "samples.npz")["images"],
    }
    rows = {name: measured(images) | {"seconds": seconds.get(name)} for name, images in samples.items()}
    about = {"date": str(date.today()), "processor": platform.processor() or platform.machine()}
    result = {**about, "minutes": minutes, "steps": trained["steps"], "rows": rows}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
