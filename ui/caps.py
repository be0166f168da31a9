"""What a visitor may ask for: one list of limits, and one function from what a browser or a client sent to a run's options."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

from tiw.choices import OF_THE_RUN, SLOW_ENCODERS, parse_list
from tiw.data.limits import Limits
from tiw.errors import UserInputError
from tiw.run.options import OPTIONS

MB = 1 << 20
# Kinds of run that a visitor may start, and what each takes from them. Device, precision and the like are the server's.
KINDS = ("audit", "even-out", "preview", "debias", "train", "compare", "sample")
INTERNAL = ("device", "precision", "ema", "sigma_scale", "preview_every", "checkpoint_every")
PLACES = ("biased", "reference", "baseline", "labels", "heldout", "data", "debiased", "audit", "model", "guidance")  # sets, models, runs
NAMED = ("", "demo", "none", "ita", "groups")  # words in the place of a path


@dataclass(frozen=True)
class Caps:
    """The most that one may ask for. The first ones bear the names of the options that they bound."""

    minutes: float = 7 * 24 * 60
    steps: int = 10_000_000
    count: int = 100_000  # samples of a model
    scored: int = 100_000
    batch_size: int = 4096
    sampling_steps: int = 1000
    folds: int = 20
    levels: int = 8
    margin: float = 1.0
    references: int = 1_000_000
    resolution: int = 1024  # pixels per side
    seed: int = 2**31 - 1
    learning_rate: float = 1.0
    keep: int = 20
    also: int = 12  # more models of a comparison
    sigma_min: float = 1e4
    sigma_max: float = 1e4

    text: int = 4096  # characters of a field
    slow_encoders: int = 1  # 0: none that takes long an image, or fetches its weights
    body: int = 2 * MB  # of a request that is not an upload
    depth: int = 32  # lists within lists of a request
    requests: float = 200.0  # of one visitor in a second, for long
    at_once: int = 200  # requests of one visitor that are open
    newcomers: float = 100.0  # of one address in a second, for long

    waiting: int = 100  # unfinished runs of a visitor
    waiting_all: int = 100
    upload: int = 200 * MB  # of one file
    uploads: int = 1000  # files of a visitor
    uploads_all: int = 1000
    disk: int = 1 << 40  # bytes of a visitor's uploads
    disk_all: int = 1 << 40
    disk_runs: int = 1 << 50  # bytes of a visitor's runs
    reserve: int = 500 * MB  # of the disk that uploads leave free
    images: int = 10_000_000  # of a set
    pixels: int = 1 << 40  # of a set, all its images together
    reading: float = 1800.0  # seconds that a set may take to be read
    run_minutes: float = math.inf  # that a run may work, whatever it does
    readers: int = 1000  # sets that a public app reads at once, one of a visitor's
    kept_hours: float = math.inf  # of runs and uploads

    def of_sets(self) -> Limits:
        """What reading a set may cost."""
        return Limits(images=self.images, pixels=self.pixels, result_bytes=3 * self.pixels, seconds=self.reading)


PRIVATE = Caps()
PUBLIC = Caps(
    minutes=15.0,
    steps=3000,
    count=1000,
    scored=2000,
    batch_size=128,
    sampling_steps=25,
    keep=3,
    also=2,
    slow_encoders=0,
    folds=10,
    references=5000,
    resolution=128,
    text=500,
    body=MB,
    requests=15.0,
    at_once=60,
    newcomers=3.0,
    waiting=3,
    waiting_all=12,
    upload=50 * MB,
    uploads=12,
    uploads_all=400,
    disk=150 * MB,
    disk_all=4096 * MB,
    disk_runs=1024 * MB,
    images=20_000,
    pixels=100_000_000,
    reading=60.0,
    run_minutes=30.0,
    readers=3,
    kept_hours=24.0,
)


def table(caps: Caps) -> str:
    """One line each, for the start of the app."""
    return "\n".join(f"  {name:15} {value:,}" for name, value in asdict(caps).items())


def options(kind: str, given: dict, caps: Caps, locate: Callable[[str, str], str]) -> object:
    """The only way from what a visitor sent to the options of a run.

    kind: of the run. given: values as JSON has them; None stands for the default. locate(name, field): where a set or model lies that is
    named so, for a visitor who may use it. Raises UserInputError for a field that is not for visitors, a value of another type, one above
    its cap, and what `locate` refuses.
    """
    if kind not in KINDS:
        raise UserInputError("kind", f"{str(kind)[:40]!r} cannot be started here", f"choose one of {', '.join(KINDS)}")
    known = {field.name: field.default for field in fields(OPTIONS[kind]) if field.name not in INTERNAL}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UserInputError(str(unknown[0])[:40], f"{kind} takes no such field here", "leave it out")
    clean = {name: _value(name, value, known[name], caps) for name, value in given.items() if value is not None}
    for name in PLACES:
        if clean.get(name, "") not in NAMED:
            clean[name] = locate(clean[name], name)
    if clean.get("encoder") in SLOW_ENCODERS and not caps.slow_encoders:
        raise UserInputError("encoder", f"{clean['encoder']} takes longer than this app allows", "choose pca or denoiser")
    if clean.get("also"):
        clean["also"] = _also(clean["also"], caps, locate)
    return OPTIONS[kind](**clean)


def _also(text: str, caps: Caps, locate: Callable[[str, str], str]) -> str:
    """The models that `also` names, those in folders located; not more than one may ask for."""
    parts = parse_list(text)
    most = sum({"sweep": 4, "kept": min(caps.keep, 8)}.get(part, 1) for part in parts)  # a run counts what it finds once more
    if most > caps.also:
        raise UserInputError("also", f"it names up to {most} more models", f"name at most {caps.also}")
    return ",".join(part if OF_THE_RUN.fullmatch(part) else locate(part, "also") for part in parts)


def shaped(state: object, like: dict) -> dict:
    """What a browser kept, with exactly the fields and types of `like`; what is missing or of another type is as in `like`."""
    given = state if isinstance(state, dict) else {}
    return {name: given[name] if type(given.get(name)) is type(usual) else usual for name, usual in like.items()}


def _value(name: str, value: object, default: object, caps: Caps) -> object:
    """The value in the type of its option's default, within its cap."""
    wanted = type(default)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserInputError(name, f"it is {value}", "give a finite number")
    if wanted is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if wanted is float and type(value) is int and abs(value) <= 2**53:
        value = float(value)
    if type(value) is not wanted:
        raise UserInputError(
            name, f"it is {str(value)[:40]!r}", f"give {'yes or no' if wanted is bool else f'a value of type {wanted.__name__}'}"
        )
    if wanted is str:
        value = value.strip()
        if len(value) > caps.text:
            raise UserInputError(name, f"it has {len(value):,} characters", f"give at most {caps.text:,}")
        if "\0" in value:
            raise UserInputError(name, "it holds a character that no name has", "type it anew")
    elif wanted is not bool and value > getattr(caps, name, math.inf):
        raise UserInputError(name, f"{value:,} are more than this app allows", f"give at most {getattr(caps, name):,}")
    return value
