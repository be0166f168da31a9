"""What each user action does, for the command line and the app. Options go in, and a run folder is filled."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import torch

from ..auditing.audit import audit as run_audit
from ..choices import PAPER, WITH_RATIO
from ..data import ImageSet, check_sets
from ..debiasing import lagging as lagging_module
from ..debiasing.baseline_check import TrainingCheck, check_training
from ..debiasing.config import DebiasConfig
from ..debiasing.fine_tune import TrainStep, check_batch_size
from ..debiasing.fine_tune import debias as run_debias
from ..debiasing.strength import gap_closed
from ..errors import UserInputError
from ..files import write_atomic, write_npz
from ..model import processes
from ..model.denoiser import Denoiser
from ..model.device import pick_device, pick_precision
from ..model.networks import PRESETS, NetworkConfig, preset_for
from ..model.sampling import labels_like
from ..model.sampling import sample as draw_samples
from ..pictures import contact_sheet
from ..ratio.density_ratio import DensityRatio, fit_to_features
from ..ratio.features import RatioConfig, levels, ratio_features
from ..sentences import about_time
from . import names
from .audit_files import score_rest, write_audit, write_map, write_neighbours
from .comparison import compare
from .folder import RunFolder, now
from .forecast import LONG, forecast, lagging_limit, lagging_passes, parts_of, say_beforehand, testing_passes, too_long
from .inputs import (
    baseline_check,
    check_disk,
    check_resolution,
    keep_ratio,
    open_denoiser,
    open_guidance,
    open_inputs,
    open_inputs_and_ratio,
    ratio_home,
    read_set,
    report,
    report_of,
    strength_of,
)
from .make_sets import even_out, make_split
from .options import (
    AuditOptions,
    CompareOptions,
    DebiasOptions,
    DemoOptions,
    PreviewOptions,
    SampleOptions,
    TrainOptions,
)
from .stages import Stages
from .train_in_folder import train_to_folder


def audit(run: RunFolder, o: AuditOptions) -> dict:
    """Ratio, diagnostics and charts, as JSON, CSV and one HTML file; then the map, the strength and the images not drawn for the charts."""
    biased, reference, encoder = open_inputs(run, o)
    run.progress("Checking the images", 0, 1)
    problems = check_sets(biased, reference)
    config = RatioConfig(levels(o.levels), o.folds, o.estimator, biased_images=o.scored, seed=o.seed)
    takes = forecast(run, o, biased, reference, encoder, config)
    stages = Stages(run)
    encode = partial(ratio_features, biased, reference, encoder, config, report(run, "Encoding images at every noise level"))
    features = stages.features(encode) if stages.wants("map") else None
    if stages.wants("ratio"):
        run.progress("Fitting the density ratio", 0, 1)
        ratio = fit_to_features(features, encoder, config)
        keep_ratio(run.path / names.RATIO, ratio, biased, reference)
        stages.did("ratio")
    else:
        ratio = DensityRatio.load(run.path / names.RATIO, encoder)
    if stages.wants("measured"):
        run.progress("Measuring", 0, 1)
        found = run_audit(biased, reference, ratio, features=features, problems=problems, seed=o.seed)
        write_neighbours(run, features, o.seed)
        result = write_audit(run, found)
        stages.did("measured")
    else:
        result = run.result() or {}
    if stages.wants("map"):
        if o.map:
            write_map(run, features, o.seed)
        stages.tried("map")
    del features
    if takes.strength > LONG:
        said = (
            f"The strength is not matched now, which would take {about_time(takes.strength)}. A preview or a debiasing run does it, unless"
        )
        print(f"{said} it is given one: --strength 1.5.", file=sys.stderr)
    elif isinstance(encoder, Denoiser):
        strength_of(run, run.path, "auto", encoder, ratio, biased, reference, o.seed)  # so that a preview takes seconds
    if o.score_all and stages.attempts("rest"):
        score_rest(run, biased, reference, ratio, o.seed)
    stages.forget()
    return result


def preview(run: RunFolder, o: PreviewOptions) -> dict:
    """The baseline's samples, plain and guided at the matched strength, from the same seeds."""
    biased, reference, denoiser, ratio = open_inputs_and_ratio(run, o)
    check = baseline_check(run, o, denoiser, biased)
    match = strength_of(run, ratio_home(run, o), o.strength, denoiser, ratio, biased, reference, o.seed)
    seeds = range(o.seed, o.seed + o.count)
    labels = labels_like(reference.labels, seeds)
    common = {"steps": o.sampling_steps, "solver": o.solver, "labels": labels}
    plain = draw_samples(denoiser, seeds, on_batch=report_of(run, "Sampling the baseline", o.count), **common)
    report = report_of(run, "Sampling with guidance", o.count)
    guided = draw_samples(denoiser, seeds, guidance=ratio, strength=match.strength, on_batch=report, **common)
    write_npz(run.path / names.SAMPLES, seeds=np.array(seeds), baseline=plain, debiased=guided)
    closed = match.closed(gap_closed(ratio, guided, o.seed, labels=labels))
    return {
        "strength": match.strength,
        "strength_match": asdict(match),
        "gap_closed": None if closed is None else asdict(closed),
        "baseline_check": None if check is None else asdict(check),
    }


def debias(run: RunFolder, o: DebiasOptions) -> dict:
    """Fine-tune the baseline; see `tiw.debias`. Ends with the debiased model in RUN/model."""
    if o.objective in WITH_RATIO:
        biased, reference, denoiser, ratio = open_inputs_and_ratio(run, o)
        check = baseline_check(run, o, denoiser, biased)
        match = strength_of(run, ratio_home(run, o), o.strength, denoiser, ratio, biased, reference, o.seed)
    else:
        (biased, reference, denoiser), ratio, check, match = open_inputs(run, o), None, None, None
        say_beforehand(run, denoiser, parts_of(o, denoiser))
    config = o.config(1.0 if match is None or (o.objective == PAPER and o.strength == "auto") else match.strength)

    def steps_of(config: DebiasConfig, resume: dict | None) -> Iterator[TrainStep]:
        return run_debias(denoiser, biased, reference, ratio, config, resume=resume)

    gap = None if ratio is None else lambda images, labels: match.closed(gap_closed(ratio, images, o.seed, labels=labels))
    trained = train_to_folder(run, o, config, denoiser, steps_of, gap, reference.labels)
    return {
        "objective": o.objective,
        "lagging": None if ratio is None or denoiser.classes else _lagging(run, denoiser, ratio, biased, reference, o),
        "strength": config.strength if match is not None else None,
        "strength_match": None if match is None else asdict(match),
        "learning_rate": config.rate(denoiser),
        "baseline_check": None if check is None else asdict(check),
        "sets": {"biased": biased.about(), "reference": reference.about()},
        **trained,
    }


def _lagging(
    run: RunFolder, denoiser: Denoiser, ratio: DensityRatio, biased: ImageSet, reference: ImageSet, o: DebiasOptions
) -> dict | None:
    """What the debiased model still lacks, with the reference images of each group that lags as RUN/lagging/GROUP.webp.

    None where looking for it would take longer than the training.
    """
    if too_long("The search for what lags", denoiser, lagging_passes(denoiser), lagging_limit(o, denoiser)):
        return None
    if not processes.is_first():
        return {}
    model = open_denoiser(str(run.path / names.MODEL), o.device, o.precision)
    said = report_of(run, "Looking for what lags", 2 * lagging_module.count_for(model.shape))
    found = lagging_module.measure_lagging(model, denoiser, ratio, biased, o.seed, said)
    for group in found.lagging:
        (run.path / names.LAGGING).mkdir(exist_ok=True)
        sheet = contact_sheet(reference.images[list(group.reference_rows)])
        write_atomic(run.path / names.LAGGING / f"{group.group}.webp", sheet)
    return found.to_json()


def train(run: RunFolder, o: TrainOptions) -> dict:
    """Train a baseline from scratch: DSM on one set. Ends with the model in RUN/model.

    Raises UserInputError for a network that is not known, and for what `train_to_folder` refuses.
    """
    if o.preset not in ("auto", *PRESETS):
        raise UserInputError("preset", f"no network is named {o.preset!r}", f"choose one of auto, {', '.join(PRESETS)}")
    try:
        data = read_set(run, o, o.data, "biased")
    except UserInputError as error:  # it is read as a large set is, and named otherwise
        raise UserInputError("data" if error.field == "biased" else error.field, error.found, error.fix, error.offers) from error
    torch.manual_seed(o.seed)
    device = pick_device(o.device)
    processes.join(device)
    o = replace(o, batch_size=o.batch_size or (128 if device.type == "cuda" else 32))
    check_batch_size(o.batch_size)
    network = _network(o, data, device.type)
    denoiser = Denoiser.new(network).prepare(device, pick_precision(device, o.precision))
    check_resolution("data", data, denoiser)
    check_disk(run, denoiser, o.steps, keep=1)
    config = DebiasConfig("dsm-obs", reference_share=0.0, batch_size=o.batch_size, learning_rate=o.learning_rate, seed=o.seed)
    empty = data.take([])  # DSM on one set needs no reference
    trained = train_to_folder(run, o, config, denoiser, lambda c, resume: run_debias(denoiser, data, empty, None, c, resume=resume))
    check = _training_check(run, o, data, Denoiser.new(network).prepare(device))
    return {**trained, "training_check": None if check is None else asdict(check)}


def _network(o: TrainOptions, data: ImageSet, device: str) -> NetworkConfig:
    """The one that was asked for, or the one for images of this size."""
    if o.preset != "auto":
        return PRESETS[o.preset]
    height, width = data.images.shape[1:3]
    preset = preset_for(height, device) if height == width else None
    if preset is None:
        found = f"the images have {width}x{height} pixels, and there are networks for 16, 32 and 64 pixels a side"
        raise UserInputError("resolution", found, "set resolution to one of them")
    return PRESETS[preset]


def _training_check(run: RunFolder, o: TrainOptions, data: ImageSet, untrained: Denoiser) -> TrainingCheck | None:
    """Whether the model is good enough to debias, by the first process alone: the others do not wait until it is saved.

    None where that would take hours, as a pass through the `untrained` network tells.
    """
    if too_long("The test of the baseline", untrained, 2 * testing_passes(untrained)) or not processes.is_first():
        return None
    denoiser = open_denoiser(str(run.path / names.MODEL), o.device, "float32")
    halves = sorted((run.path / names.KEPT).glob("*"))
    halfway = open_denoiser(str(halves[-1]), o.device, "float32") if halves else None
    check = check_training(denoiser, halfway, data, seed=o.seed, on_progress=report(run, "Testing the baseline"))
    shutil.rmtree(run.path / names.KEPT, ignore_errors=True)
    print(check.sentence, file=sys.stderr)
    return check


def sample(run: RunFolder, o: SampleOptions) -> dict:
    """Images from one model, one seed each, steered by an audit's ratio if one is named."""
    denoiser = open_denoiser(o.model, o.device, field="model")
    ratio, strength = open_guidance(o, denoiser) if o.guidance else (None, None)
    guided = {} if ratio is None else {"guidance": ratio, "strength": strength}
    seeds = range(o.seed, o.seed + o.count)
    say_beforehand(run, denoiser, parts_of(o, denoiser))
    report = report_of(run, "Sampling", o.count)
    images = draw_samples(denoiser, seeds, steps=o.sampling_steps, solver=o.solver, on_batch=report, **guided)
    write_npz(run.path / names.SAMPLES, images=images, seeds=np.array(seeds))
    write_atomic(run.path / names.SHEET, contact_sheet(images[:64]))
    return {"n": o.count, "seeds": [o.seed, o.seed + o.count - 1], "strength": strength}


# Minutes of fine-tuning and samples of each model.
DEMO = {
    "quick": ({"minutes": 1.75}, 1000),
    "full": ({"minutes": 4.0}, 2000),
}


def demo(run: RunFolder, o: DemoOptions) -> dict:
    """Audit, debias and compare on the embedded demo, each in a run folder of its own below this one."""
    debias_options, count = DEMO[o.preset]
    common = {"seed": o.seed, "device": o.device}
    audited = _stage(run, "audit", AuditOptions(map=False, score_all=False, **common))
    debiased = _stage(run, "debias", DebiasOptions(audit=str(run.path / "audit"), **debias_options, **common))
    options = CompareOptions(debiased=str(run.path / "debias" / "model"), count=count, **common)
    compared = _stage(run, "compare", options)
    parts = {f"{name}_seconds": part["seconds"] for name, part in (("audit", audited), ("debias", debiased), ("compare", compared))}
    carried = {name: debiased[name] for name in ("objective", "strength", "gap_closed", "training_seconds", "steps")}
    return {**compared, **carried, **parts, "preset": o.preset, "seconds": sum(parts.values())}


EXECUTE: dict[str, Callable[[RunFolder, object], dict]] = {
    "audit": audit,
    "preview": preview,
    "debias": debias,
    "train": train,
    "sample": sample,
    "compare": compare,
    "make-split": make_split,
    "even-out": even_out,
    "demo": demo,
}


def _stage(run: RunFolder, kind: str, options: object) -> dict:
    """One action in a run folder of its own below RUN, done once; its result."""
    part = run.part(kind, options)
    if part.status()["state"] != "finished":
        part.write_status(state="running", started=now())
        part.write_result(EXECUTE[kind](part, options))
        part.write_status(state="finished", stage="Finished")
    return part.result() or {}
