"""The models beside baseline and debiased in a comparison: what `also` names, found and checked before a sample is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..choices import OF_THE_RUN, parse_list
from ..errors import UserInputError
from ..model.denoiser import Denoiser
from ..ratio.density_ratio import DensityRatio
from . import names
from .folder import RunFolder
from .inputs import kept_match, open_denoiser, readable
from .options import DebiasOptions

MOST = 12
SWEEP = (0.5, 1.0, 1.5, 2.0)  # strengths; 0 is the baseline


@dataclass(frozen=True)
class Other:
    """One more model."""

    name: str  # of its samples
    title: str  # which one it is, in words
    path: str = ""  # empty: the baseline, guided
    step: int | None = None  # of one that was kept on the way
    strength: float | None = None  # of the guidance


def find_others(also: str, trained: RunFolder | None, baseline: Denoiser, device: str) -> list[Other]:
    """What `also` names. Raises UserInputError for what is not there, for a model of another size, and for too many."""
    found: list[Other] = []
    for part in parse_list(also):
        if not OF_THE_RUN.fullmatch(part):
            model = open_denoiser(part, device, field="also")
            if model.shape != baseline.shape or model.classes != baseline.classes:
                own, other = (f"{m.shape[-1]} pixels and {m.classes} classes" for m in (model, baseline))
                said = f"{part} paints {own}, the baseline {other}"
                raise UserInputError("also", said, "compare models of one size")
            number = sum(bool(other.path) and other.step is None for other in found) + 1
            found.append(Other(f"model {number}", title_of(part), part))
            continue
        if trained is None:
            raise UserInputError(
                "also", f"{part} belongs to a debiasing run, and debiased is not the model of one", "give RUN/model as debiased"
            )
        found += _kept(part, trained) if part.startswith("kept") else _guided(part, trained)
    found = list({other.name: other for other in found}.values())
    if len(found) > MOST:
        raise UserInputError("also", f"it names {len(found)} models", f"name at most {MOST}")
    return found


def open_ratio(trained: RunFolder, baseline: Denoiser) -> DensityRatio:
    """The ratio that the run was trained with, which reads its features off the baseline."""
    folder = _ratio_home(trained) / names.RATIO
    with readable("also", folder, "leave the guided ones out"):
        return DensityRatio.load(folder, baseline)


def title_of(model: str) -> str:
    """Which run a model's folder is of, in words: objective, steps, and the run's name or folder."""
    folder = Path(model)
    home = folder.parents[1] if folder.parent.name == names.KEPT else folder.parent
    try:
        run = RunFolder.open(home)
    except UserInputError:
        return folder.name if model != "demo" else "the demo’s baseline"
    result = run.result() or {}
    what = run.options.objective if isinstance(run.options, DebiasOptions) else run.kind
    steps = int(folder.name) if folder.parent.name == names.KEPT else result.get("steps")
    at = f", {steps:,} steps" if steps else ""
    last = ", last weights" if folder.name == names.RAW else ""
    return f"{what}{at}{last} ({run.about()[0] or home.name[:8]})"


def _kept(part: str, trained: RunFolder) -> list[Other]:
    there = sorted((trained.path / names.KEPT).glob("*/"))
    if wanted := part.partition(":")[2]:
        there = [folder for folder in there if int(folder.name) == int(wanted)]
    if not there:
        raise UserInputError("also", f"{trained.path} has kept no such moving average", "debias with --keep 4 to have some")
    return [Other(f"step {int(folder.name)}", f"after {int(folder.name):,} steps", str(folder), step=int(folder.name)) for folder in there]


def _guided(part: str, trained: RunFolder) -> list[Other]:
    if not (_ratio_home(trained) / names.RATIO / "ratio.json").is_file():
        raise UserInputError(
            "also", f"{trained.path} was trained without a density ratio, so nothing can guide", "leave the guided ones out"
        )
    if part == "guided":
        match = kept_match(_ratio_home(trained))
        strengths = (match.strength if match else 1.0,)
    elif part == "sweep":
        strengths = SWEEP
    else:
        strengths = (float(part.partition(":")[2]),)
    return [Other(f"guided {s:.4g}", f"the baseline, guided at strength {s:.4g}", strength=float(s)) for s in strengths]


def _ratio_home(trained: RunFolder) -> Path:
    return Path(trained.options.audit) if trained.options.audit else trained.path
