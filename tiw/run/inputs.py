"""What a run works on, opened and checked before any work: sets, models, the ratio, its strength, the classifier."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from safetensors import SafetensorError

from ..data import ImageSet, Limits, load_in_child, load_set, with_classes
from ..debiasing.baseline_check import BaselineCheck, check_baseline
from ..debiasing.fine_tune import check_batch_size
from ..debiasing.strength import StrengthMatch, match_strength
from ..errors import UserInputError
from ..files import Unreadable, read_json, shipped, write_atomic
from ..intervals import Estimate
from ..model import processes
from ..model.denoiser import Denoiser
from ..model.device import pick_device, pick_precision
from ..ratio.density_ratio import DensityRatio, fit_to_features
from ..ratio.features import PixelEncoder, RatioConfig, ratio_features
from . import names
from .folder import RunFolder, Stopped
from .forecast import parts_of, say_beforehand, testing_passes, too_long
from .options import AuditOptions, DebiasOptions, PreviewOptions, SampleOptions, no_model

OTHER_FILES = 20 << 20  # bytes: pictures, ratio, lines of a short run
A_LINE = 250  # bytes that a step's line takes
CHECKPOINTS = shipped("checkpoints")


def open_inputs(run: RunFolder, o: AuditOptions | PreviewOptions | DebiasOptions) -> tuple[ImageSet, ImageSet, Denoiser | PixelEncoder]:
    """Both sets and the baseline, checked against each other before any work.

    Raises UserInputError for what cannot be read or does not fit together, and where the disk is too small.
    """
    if isinstance(o, DebiasOptions):
        check_batch_size(o.batch_size)
    run.progress("Reading images", 0, 1)
    biased = read_set(run, o, o.biased, "biased")
    reference = read_set(run, o, o.reference, "reference", o.references)
    if isinstance(o, AuditOptions) and o.baseline == "none":
        if biased.resolution != reference.resolution:
            found = f"its images are {reference.resolution} pixels wide, the biased ones {biased.resolution}"
            raise UserInputError("reference", found, "set resolution to crop and resize both")
        return biased, reference, PixelEncoder()
    denoiser = open_denoiser(o.baseline, o.device, getattr(o, "precision", "auto")).requires_grad_(False).eval()
    check_resolution("biased", biased, denoiser)
    check_resolution("reference", reference, denoiser)
    if isinstance(o, DebiasOptions):
        check_disk(run, denoiser, o.steps, o.keep)
        denoiser.config.noise.within(o.sigma_min, o.sigma_max)
    if denoiser.classes:
        biased, reference = with_classes(o.class_label, denoiser.classes, biased=biased, reference=reference)
    return biased, reference, denoiser


def read_set(run: RunFolder, o: object, path: str, role: str, references: int = 0) -> ImageSet:
    """The set that an option names, in the options' resolution; files that were left out are listed in the run's log. Where an app is open
    to strangers a process of its own decodes their images, within the app's bounds on memory and time."""
    how = (path, role, references, o.resolution, o.skip_bad)
    limits = None if path == "demo" else Limits.imposed()
    images = load_set(*how) if limits is None else load_in_child(*how, limits=limits)
    if called := getattr(o, f"{role}_name", ""):
        images = replace(images, name=called)
    if images.skipped or images.notes:
        with (run.path / names.LOG).open("a", encoding="utf-8") as log:
            log.writelines(f"{role}: {note}\n" for note in images.notes)
            log.writelines(f"{role}: left out {name}\n" for name in images.skipped)
    return images


def open_inputs_and_ratio(run: RunFolder, o: PreviewOptions | DebiasOptions) -> tuple[ImageSet, ImageSet, Denoiser, DensityRatio]:
    """The inputs and the ratio: the named audit's, or RUN/ratio, fitted here if it is not there yet.

    Raises UserInputError as `open_inputs` does, and for an audit that is not there or was made of other inputs.
    """
    biased, reference, denoiser = open_inputs(run, o)
    assert isinstance(denoiser, Denoiser)
    if o.audit:
        about = _audit("audit", o.audit).options
        for field in ("biased", "reference", "baseline", "class_label", "references", "resolution", "skip_bad"):
            if getattr(about, field) != getattr(o, field):
                found = f"it was made with {field} {getattr(about, field)!r}, this run has {getattr(o, field)!r}"
                raise UserInputError("audit", found, "run the audit again on these inputs, or leave audit empty")
    say_beforehand(run, denoiser, parts_of(o, denoiser, (len(biased), len(reference)), ratio_home(run, o)))
    with processes.first_goes_first():
        return biased, reference, denoiser, _open_or_fit_ratio(run, o, biased, reference, denoiser)


def _open_or_fit_ratio(
    run: RunFolder, o: PreviewOptions | DebiasOptions, biased: ImageSet, reference: ImageSet, denoiser: Denoiser
) -> DensityRatio:
    folder = ratio_home(run, o) / names.RATIO
    if (folder / "ratio.json").is_file():
        fix = "run the audit again" if o.audit else "start a new run"
        with readable("audit" if o.audit else "out", folder, fix):
            kept = read_json(folder / names.SETS)
            ratio, counts = DensityRatio.load(folder, denoiser), {role: kept[role]["n"] for role in ("biased", "reference")}
        for role, images in (("biased", biased), ("reference", reference)):
            if not images.is_that_of(kept[role]):
                found = f"its images have changed since the density ratio was fitted: {counts[role]} then, {len(images)} now"
                raise UserInputError(role, found, fix)
        return ratio
    config = RatioConfig(seed=o.seed)
    features = ratio_features(biased, reference, denoiser, config, report(run, "Encoding images at every noise level"))
    run.progress("Fitting the density ratio", 0, 1)
    ratio = fit_to_features(features, denoiser, config)
    keep_ratio(folder, ratio, biased, reference)
    return ratio


@contextmanager
def readable(option: str, path: Path, fix: str) -> Iterator[None]:
    """Whatever reading kept files raises, as the user's error."""
    try:
        yield
    except UserInputError as error:
        raise UserInputError(option, error.found, fix) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise UserInputError(option, f"{path} is damaged or of another version ({type(error).__name__})", fix) from error


def keep_ratio(folder: Path, ratio: DensityRatio, biased: ImageSet, reference: ImageSet) -> None:
    """Write the ratio and which images it was fitted to, since its folds are theirs; what was found out here about other images goes."""
    folder.mkdir(parents=True, exist_ok=True)
    sets = json.dumps({"biased": asdict(biased.fingerprint), "reference": asdict(reference.fingerprint)}).encode()
    kept = folder / names.SETS
    if not kept.is_file() or kept.read_bytes() != sets:
        for name in (names.STRENGTH, names.BASELINE_CHECK):
            (folder.parent / name).unlink(missing_ok=True)
    write_atomic(kept, sets)
    ratio.save(folder)


def _audit(option: str, path: str) -> RunFolder:
    """The run that an option names: an audit with its ratio."""
    try:
        run = RunFolder.open(path)
    except UserInputError as error:
        raise UserInputError(option, error.found, "give the folder of a finished audit") from error
    if run.kind != "audit":
        raise UserInputError(option, f"{path} holds a run of {run.kind}", "give the folder of a finished audit")
    if not (run.path / names.RATIO / "ratio.json").is_file():
        raise UserInputError(option, f"{path} holds no ratio", "wait until the audit has finished, or leave this empty")
    return run


def open_guidance(o: SampleOptions, denoiser: Denoiser) -> tuple[DensityRatio, float]:
    """The ratio of the audit named by `guidance`, reading its features off that audit's own baseline, and the strength to steer with.

    Raises UserInputError for an audit without a model, ratio or strength, and for one of images of another size.
    """
    audit = _audit("guidance", o.guidance)
    path = audit.options.baseline
    if path == "none":
        raise UserInputError("guidance", f"{o.guidance} is an audit without a model", "run it again with --baseline")
    encoder = denoiser if path == o.model else open_denoiser(path, o.device, field="guidance")
    if encoder.shape != denoiser.shape:
        found = f"the audit's images are {encoder.shape[-1]} pixels wide, the model paints {denoiser.shape[-1]}"
        raise UserInputError("guidance", found, "choose an audit and a model of one size")
    with readable("guidance", audit.path / names.RATIO, "run the audit again"):
        ratio = DensityRatio.load(audit.path / names.RATIO, encoder)
    if o.strength != "auto":
        return ratio, float(o.strength)
    match = kept_match(audit.path)
    if match is None:
        raise UserInputError("guidance", f"{o.guidance} has no matched strength", "wait until the audit has finished, or give a strength")
    return ratio, match.strength


def kept_match(folder: Path) -> StrengthMatch | None:
    """The strength kept beside a ratio; None where there is none, or one of another version, which is then matched anew."""
    try:
        raw = read_json(folder / names.STRENGTH)
        gap = Estimate(float(raw["gap_closed"]["value"]), _pair(raw["gap_closed"]["interval"]))
        trials = tuple(map(_pair, raw["trials"]))
        interval = _pair(raw["interval"]) if raw.get("interval") is not None else None
        if not trials or not math.isfinite(raw["strength"]) or not math.isfinite(gap.value):
            return None
        return StrengthMatch(raw["strength"], gap, trials, interval)
    except (FileNotFoundError, Unreadable, KeyError, TypeError, ValueError):
        return None


def _pair(numbers: list[float]) -> tuple[float, float]:
    """Two numbers from a file. Raises ValueError or TypeError for anything else."""
    low, high = numbers
    if not math.isfinite(low) or not math.isfinite(high):
        raise ValueError(f"{low}, {high}")
    return (low, high)


def baseline_check(run: RunFolder, o: PreviewOptions | DebiasOptions, denoiser: Denoiser, biased: ImageSet) -> BaselineCheck | None:
    """Whether the baseline is a model of the biased set, said on standard error if not; kept beside the ratio, and so done once. None where
    it would take hours."""
    kept = ratio_home(run, o) / names.BASELINE_CHECK
    if not processes.agreed(kept.is_file()) and too_long("The test of the baseline", denoiser, testing_passes(denoiser)):
        return None
    with processes.first_goes_first():
        try:
            raw = read_json(kept)
            check = BaselineCheck(**{**raw, "interval": _pair(raw["interval"])})
            if not (math.isfinite(check.auc) and isinstance(check.differs, bool) and isinstance(check.sentence, str)):
                raise ValueError(check)
        except (FileNotFoundError, Unreadable, KeyError, TypeError, ValueError):  # not there yet, damaged, or of another version
            check = check_baseline(denoiser, biased, seed=o.seed, on_progress=report(run, "Testing the baseline against the biased set"))
            write_atomic(kept, json.dumps(asdict(check)).encode())
    if check.differs and processes.is_first():
        print(check.sentence, file=sys.stderr)
    return check


def ratio_home(run: RunFolder, o: PreviewOptions | DebiasOptions) -> Path:
    """The folder that keeps the ratio and what was found out about it: the audit's, or the run's own."""
    return Path(o.audit) if o.audit else run.shared


def strength_of(
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
    with processes.first_goes_first():
        match = kept_match(folder)
        if match is None:
            match = match_strength(denoiser, ratio, biased, reference, seed=seed, on_progress=report(run, "Matching the strength"))
            write_atomic(folder / names.STRENGTH, json.dumps(asdict(match)).encode())
        return match


def open_denoiser(path: str, device: str, precision: str = "auto", field: str = "baseline") -> Denoiser:
    """The frozen model at `path` (or `demo`), on its device.

    Raises UserInputError about the option `field` where no model is named or can be read.
    """
    if path in ("", "none"):
        raise no_model(field)
    where = pick_device(device)
    processes.join(where)
    try:
        denoiser = Denoiser.from_pretrained(CHECKPOINTS / "baseline" if path == "demo" else path)
    except UserInputError as error:  # the model knows its folder, not which option named it
        raise UserInputError(field, error.found, error.fix) from error
    return denoiser.prepare(where, pick_precision(where, precision)).requires_grad_(False).eval()


def check_resolution(field: str, images: ImageSet, denoiser: Denoiser) -> None:
    """Raises UserInputError where the images are not of the size that the model paints."""
    side = denoiser.shape[-1]
    if images.images.shape[1] != side:
        found = f"its images are {images.images.shape[1]} pixels wide, the model paints {side}"
        raise UserInputError(field, found, f"set resolution to {side} to crop and resize them, or choose a model of their size")


def check_disk(run: RunFolder, denoiser: Denoiser, steps: int, keep: int = 0) -> None:
    """Say how much disk a training run takes. Raises UserInputError where less is free."""
    weights = sum(p.numel() * p.element_size() for p in denoiser.parameters())
    # A checkpoint: weights, moving average, two moments; there are two while one replaces the other. RUN/model, RUN/raw and RUN/kept stay.
    others = OTHER_FILES + A_LINE * steps + keep * weights
    peak, end = 8 * weights + others, 2 * weights + others
    run.progress(f"Will take {peak >> 20} MB of disk while training, {end >> 20} MB in the end", 0, 1)
    checkpoint = run.shared / names.CHECKPOINT
    there = checkpoint.stat().st_size if checkpoint.is_file() else 0
    free = shutil.disk_usage(run.shared).free
    if free + there < peak:
        found = f"{run.shared} has {free >> 20} MB free, training takes {peak >> 20} MB"
        raise UserInputError("out", found, "delete old runs, or choose another disk")


def report(run: RunFolder, stage: str, total: int = 1) -> Callable[[int, int], None]:
    """A progress callback (done, total) that ends the work when a stop was asked for: nothing is lost that is not quickly made again.

    The stage is shown at once, since the first batch of large images takes a while."""
    run.progress(stage, 0, total)

    def report(done: int, total: int) -> None:
        run.progress(stage, done, total)
        if run.stop_requested():
            raise Stopped

    return report


def report_of(run: RunFolder, stage: str, total: int) -> Callable[[int], None]:
    """The callback of `report` for work whose total is known: called with what is done."""
    both = report(run, stage, total)
    return lambda done: both(done, total)
