"""Actions that make image sets of image sets, without a model."""

from __future__ import annotations

from dataclasses import asdict, replace

from ..auditing.camera import camera_check
from ..auditing.even_out import even_out as run_even_out
from ..data import demo_path, parse_shares, write_parquet, write_split
from ..errors import UserInputError
from ..ratio.features import RatioConfig, check_enough
from .folder import RunFolder
from .inputs import read_set, report
from .options import EvenOutOptions, SplitOptions


def make_split(run: RunFolder, o: SplitOptions) -> dict:
    """Draw a biased, a reference and a held-out set from labels: RUN/biased.json, reference.json, heldout.json."""
    source = demo_path("biased") if o.data == "demo" else o.data
    how = asdict(o) | {name: parse_shares(getattr(o, name), name) for name in ("shares", "reference_shares")}
    return write_split(run.path, **how | {"data": source})


def even_out(run: RunFolder, o: EvenOutOptions) -> dict:
    """Change both sets in the same way until the camera check is silent.

    Leaves RUN/biased.parquet and reference.parquet, which every command reads. Raises UserInputError where nothing is found to mend,
    and for sets of too few different images to tell what separates them.
    """
    run.progress("Reading images", 0, 1)
    biased, reference = read_set(run, o, o.biased, "biased"), read_set(run, o, o.reference, "reference", o.references)
    check_enough(biased, reference, RatioConfig.folds)
    names = [name.strip() for name in o.fix.split(",") if name.strip()]
    done = run_even_out(biased, reference, names, o.seed, lambda stage, *amount: report(run, stage)(*amount))
    if not done.steps:
        found = f"the camera check names {'none of these' if names else 'nothing'} in these sets, or nothing here mends it"
        raise UserInputError("fix", found, "audit them as they are")
    run.progress("Writing both sets", 0, 1)
    written = [
        replace(images, files=write_parquet(run.path / f"{role}.parquet", images))
        for role, images in (("biased", done.biased), ("reference", done.reference))
    ]
    return {
        "steps": [step.sentence for step in done.steps],
        "left": [suspect.sentence for suspect in camera_check(*written, o.seed)],  # as the next audit of these files will say
        "biased": done.biased.about(),
        "reference": done.reference.about(),
    }
