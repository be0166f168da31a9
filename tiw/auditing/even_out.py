"""Both sets evened out: what the camera check names is mended by one function of an image, the same for every image of either set.

Since neither set is treated as one of the two, nothing new can separate them. It has three limits. Detail that one set has lost is not
brought back: the other set loses it too. Brightness, contrast and casts are equalised together with what the subject contributes to them.
What the check does not measure stays.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from ..data import ImageSet
from ..data.memory import chunks, room_for
from ..errors import UserInputError
from ..streams import stream
from .camera import GREY, MOST, SUSPECTS, Suspect, camera_check, properties

# What mends which property.
MENDS = {
    "crop": ("borders",),
    "resize": ("sharpness", "original width"),
    "encode": ("compression", "file size"),
    "equalise": ("brightness", "contrast", "red cast", "blue cast"),
}
MARGINS = (1, 2, 3, 4, 6, 8, 12, 16)  # cropped from every side, in 64ths of it
SIDES = (56, 48, 40, 32, 28, 24, 20, 16, 12, 8)  # resized to, in 64ths of the side
QUALITIES = (90, 80, 70, 60, 50, 45, 40, 35, 30, 25, 20, 15, 10)  # of the JPEG


@dataclass(frozen=True)
class Step:
    """One function of an image."""

    kind: str  # of MENDS
    amount: int | Mapping[str, float]  # pixels cropped; pixels a side; JPEG quality; the properties that every image gets

    @property
    def sentence(self) -> str:
        if self.kind == "crop":
            return f"{self.amount} pixel(s) cropped from every side, then resized back"
        if self.kind == "resize":
            return f"resized to {self.amount}x{self.amount} pixels and back"
        if self.kind == "encode":
            return f"saved as JPEG of quality {self.amount}"
        return "every image given the same " + " and ".join(f"{name} ({value:.2f})" for name, value in self.amount.items())

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H,W,3] -> the same, changed."""
        if self.kind == "equalise":
            return _equalised(image, self.amount)
        picture, size = Image.fromarray(image), image.shape[1::-1]
        if self.kind == "crop":
            picture = picture.crop((self.amount, self.amount, size[0] - self.amount, size[1] - self.amount))
        elif self.kind == "resize":
            picture = picture.resize((self.amount, self.amount), Image.Resampling.LANCZOS)
        else:
            data = io.BytesIO()
            picture.save(data, "JPEG", quality=self.amount)
            picture = Image.open(data)
        return np.asarray(picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class EvenedOut:
    """Both sets after the same steps."""

    biased: ImageSet
    reference: ImageSet
    steps: tuple[Step, ...]  # in this order; none where the check named nothing
    left: tuple[Suspect, ...]  # what the check still names, on as many images as it looks at


def even_out(
    biased: ImageSet,
    reference: ImageSet,
    names: Sequence[str] = (),
    seed: int = 0,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> EvenedOut:
    """Change both sets in the same way until the camera check is silent.

    The property that separates them best comes first. Each is mended by the mildest step that silences it, else by the one that helps most.

    names: of `SUSPECTS`, those that may be mended; empty: whatever is named. What the check does not name is left as it is.
    `on_progress(stage, done, total)`. Attributes and labels stay; sets larger than memory stay mapped. Raises UserInputError for a
    name that is not a property, and for sets of two resolutions.
    """
    unknown = [name for name in names if name not in SUSPECTS]
    if unknown:
        raise UserInputError("fix", f"{unknown[0]!r} is not a property of the camera check", f"choose among {', '.join(SUSPECTS)}")
    if biased.resolution != reference.resolution:
        found = f"its images are {reference.resolution} pixels wide, the biased ones {biased.resolution}"
        raise UserInputError("reference", found, "set resolution to crop and resize both")
    say = on_progress or (lambda stage, done, total: None)
    rng = stream(seed, "even out")
    looked_at = [images.take(np.sort(rng.permutation(len(images))[:MOST])) for images in (biased, reference)]
    steps, left = _find(looked_at, names or tuple(SUSPECTS), seed, say)
    if steps:
        biased, reference = (
            _changed(images, steps, lambda done, total, role=role: say(f"Changing the {role} set", done, total))
            for images, role in ((biased, "biased"), (reference, "reference"))
        )
    return EvenedOut(biased, reference, tuple(steps), tuple(left))


def _find(sets: list[ImageSet], names: Sequence[str], seed: int, say: Callable) -> tuple[list[Step], list[Suspect]]:
    """The steps, and what is named after them. A step that silences everything is better than one that silences its own properties."""
    steps, tried = [], set()
    named = camera_check(*sets, seed)
    while worst := max((s for s in named if s.name in names and s.name not in tried), key=lambda s: s.auc.value, default=None):
        kind = next(kind for kind, mended in MENDS.items() if worst.name in mended)
        aims = [s.name for s in named if s.name in MENDS[kind] and s.name in names]
        if kind == "equalise":
            tried |= {*aims}
        else:  # a kind is used once; what was equalised before may have to be again
            tried = (tried - {*MENDS["equalise"]}) | {*MENDS[kind]}
        ladder = list(_ladder(kind, aims, sets))
        chosen, height = None, _worst(named, aims)
        for rung, step in enumerate(ladder):
            say(f"Looking for the mildest change: {worst.name}", rung, len(ladder))
            changed = [_changed(images, [step]) for images in sets]
            after = camera_check(*changed, seed)
            silent = not _worst(after, names)
            if silent or _worst(after, aims) < height:
                chosen, height = (step, changed, after), _worst(after, aims)
            if silent:
                break
        if chosen:
            steps.append(chosen[0])
            _, sets, named = chosen
    return steps, named


def _ladder(kind: str, aims: list[str], sets: list[ImageSet]) -> Iterator[Step]:
    """Steps of one kind, the mildest first."""
    side = sets[0].resolution
    if kind == "crop":
        amounts = sorted({-(-side * margin // 64) for margin in MARGINS})
    elif kind == "resize":
        amounts = sorted({max(2, side * part // 64) for part in SIDES}, reverse=True)
    elif kind == "encode":
        amounts = QUALITIES
    else:
        amounts = [{name: float(np.median(values)) for name, values in _properties(sets, aims).items()}]
    return (Step(kind, amount) for amount in amounts)


def _properties(sets: list[ImageSet], names: Sequence[str]) -> dict[str, np.ndarray]:
    """These properties of every image of the sets, [N] each, few images at a time: they take many times the memory of the pixels."""
    parts = (properties(images.images[part]) for images in sets for part in chunks(len(images), images.images.shape[1:]))
    found = [{name: part[name] for name in names} for part in parts]
    return {name: np.concatenate([part[name] for part in found]) for name in names}


def _worst(named: Sequence[Suspect], aims: Sequence[str]) -> float:
    """The highest AUC of these properties; 0 if none is named."""
    return max((s.auc.value for s in named if s.name in aims), default=0.0)


def _changed(images: ImageSet, steps: Sequence[Step], say: Callable[[int, int], None] | None = None) -> ImageSet:
    """The set after these steps. Its files are no longer those that its pixels came from."""

    def change(image: np.ndarray) -> np.ndarray:
        for step in steps:
            image = step(image)
        return image

    out = room_for(len(images), *images.images.shape[1:3])
    with ThreadPoolExecutor(4) as pool:
        for part in chunks(len(images), images.images.shape[1:]):
            out[part] = list(pool.map(change, np.ascontiguousarray(images.images[part])))
            if say:
                say(part.stop, len(images))
    return replace(images, images=out, files=None)


def _equalised(image: np.ndarray, wanted: Mapping[str, float]) -> np.ndarray:
    """The image with these of brightness, contrast, red and blue cast; the others of the four stay."""
    x = image.astype(np.float32) / 255
    mean = x.mean((0, 1))
    now = {"brightness": mean @ GREY, "contrast": (x @ GREY).std(), "red cast": mean[0] - mean[1], "blue cast": mean[2] - mean[1]}
    goal = {**now, **wanted}
    for _ in range(3):  # what is cut off at black and white moves the mean again
        mean = x.mean((0, 1))
        green = goal["brightness"] - GREY[0] * goal["red cast"] - GREY[2] * goal["blue cast"]
        means = np.array([green + goal["red cast"], green, green + goal["blue cast"]], np.float32)
        x = ((x - mean) * (goal["contrast"] / max((x @ GREY).std(), 1e-3)) + means).clip(0, 1)
    return (x * 255).round().astype(np.uint8)
