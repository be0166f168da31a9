"""Attribute classifiers that bring their own judgement: an ONNX file with a label list, and skin colour by a formula."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import UserInputError
from .classifier import AttributeClassifier
from .prompts import ENDING, open_prompts

# Individual typology angle, in degrees, from dark to light (Chardon et al. 1991; del Bino and Bernerd 2013).
ITA_EDGES = (-30.0, 10.0, 28.0, 41.0, 55.0)
ITA_CLASSES = ("dark", "brown", "tan", "intermediate", "light", "very light")
CENTRE = 0.5  # of the image's side: where a face is in a portrait
ONNX_BATCH = 64


@dataclass(frozen=True)
class OnnxClassifier(AttributeClassifier):
    """A network of the user's own. Made with `open_onnx`."""

    path: str = ""
    about: dict = field(default_factory=dict)

    def scores(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """What the network answers for images uint8 [N,H,W,3], as probabilities [N, K] of its one attribute.

        Raises UserInputError where it answers another number of values than its list has labels.
        """
        import onnxruntime

        session = onnxruntime.InferenceSession(self.path, providers=["CPUExecutionProvider"])
        name, (attribute, values) = session.get_inputs()[0].name, next(iter(self.classes.items()))
        parts = [session.run(None, {name: self._input(images[k : k + ONNX_BATCH])})[0] for k in range(0, len(images), ONNX_BATCH)]
        answers = np.concatenate(parts).reshape(len(images), -1).astype(np.float64)
        if answers.shape[1] != len(values) and (answers.shape[1], len(values)) != (1, 2):
            found = f"the network answers {answers.shape[1]} numbers, its list has {len(values)} labels"
            raise UserInputError("labels", found, "give as many labels as the network has outputs, in their order")
        return {attribute: probabilities(answers, self.about.get("logits"))}

    def _input(self, images: np.ndarray) -> np.ndarray:
        size = self.about["size"]
        resized = np.stack([np.asarray(Image.fromarray(i).resize((size, size), Image.Resampling.BILINEAR)) for i in images])
        x = (resized.astype(np.float32) - self.about.get("mean", 0)) / self.about.get("std", 255)
        x = x[..., ::-1] if self.about.get("colours") == "BGR" else x
        return np.ascontiguousarray(x if self.about.get("layout") == "NHWC" else x.transpose(0, 3, 1, 2), np.float32)


def probabilities(answers: np.ndarray, logits: bool | None = None) -> np.ndarray:
    """Probabilities [N, K] from a network's answers [N, K]; one number [N, 1] speaks of the second of two values.

    logits: what the answers are. None: probabilities, unless one of them lies outside 0 to 1 or an image's do not add up to 1. A single
    logit can lie within 0 to 1 for all of a few images, and is then mistaken for a probability.
    """
    single = answers.shape[1] == 1
    found = np.c_[1 - answers, answers] if single else answers
    if logits is None:
        logits = found.min() < 0 or np.abs(found.sum(1) - 1).max() > 1e-3
    if logits:
        found = np.c_[np.zeros(len(answers)), answers] if single else answers
        found = np.exp(found - found.max(1, keepdims=True))
    return found / found.sum(1, keepdims=True)


def open_onnx(path: str | Path) -> OnnxClassifier:
    """An ONNX file with its contract beside it, NAME.json:

    {"attribute": "gender", "labels": ["female", "male"], "size": 64, "mean": 0, "std": 255, "colours": "RGB", "layout": "NCHW",
    "logits": true, "source": "...", "licence": "...", "limits": "..."}. The limits stand wherever its shares do. The network takes float32
    [N,3,size,size], (pixel - mean) / std, each one number or three, and answers [N, K] probabilities or logits in the order of the labels,
    or one number [N, 1] for the second of two. `logits` says which; without it `probabilities` decides, and a single number
    may mislead it. Its errors are unknown until they are counted (`counted_on`).

    Raises UserInputError where a file is missing, the list is not complete, or onnxruntime is not installed.
    """
    path = Path(path)
    listed = path.with_suffix(".json")
    if not path.is_file():
        raise UserInputError("labels", f"there is no file {path}", "give an .onnx file")
    if find_spec("onnxruntime") is None:
        raise UserInputError("labels", "an ONNX file needs onnxruntime", 'pip install "tiw-studio[onnx]"')
    try:
        about = json.loads(listed.read_text(encoding="utf-8"))
        attribute, labels, size = str(about["attribute"]), [str(label) for label in about["labels"]], int(about["size"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = 'write it: {"attribute": "gender", "labels": ["female", "male"], "size": 64}'
        raise UserInputError("labels", f"{listed} is missing or lacks attribute, labels or size", fix) from error
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise UserInputError(
            "labels", f"{listed} lists {len(labels)} labels", "list two or more different ones, in the order of the outputs"
        )
    source, licence = str(about.get("source", path.name)), str(about.get("licence", "not stated"))
    notes = (str(about["limits"]),) if about.get("limits") else ()
    return OnnxClassifier({attribute: labels}, {}, source, licence, notes=notes, path=str(path), about={**about, "size": size})


@dataclass(frozen=True)
class SkinColour(AttributeClassifier):
    """Colour of the middle of a portrait by the individual typology angle: a property of pixels and light, not of a person."""

    def scores(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """1 for the class of each image's angle and 0 for the others: uint8 [N,H,W,3] -> [N, K]."""
        place = np.digitize(typology_angle(images), ITA_EDGES)
        return {"skin colour (ITA)": np.eye(len(ITA_CLASSES))[place]}


def skin_colour() -> SkinColour:
    """The classifier of skin colour by ITA, for photographs of faces."""
    source = "individual typology angle of the median colour in the middle of the image"
    limits = "Skin colour by ITA is a property of pixels. Light, camera and make-up change it, and it says nothing of anybody’s origin."
    return SkinColour({"skin colour (ITA)": list(ITA_CLASSES)}, {}, source, "a formula", notes=(limits,))


def typology_angle(images: np.ndarray) -> np.ndarray:
    """ITA = atan((L* - 50) / b*) in degrees, [N], of the median CIELAB colour of the middle of uint8 sRGB images [N,H,W,3], under D65."""
    side = images.shape[1]
    low, high = round(side * (0.5 - CENTRE / 2)), round(side * (0.5 + CENTRE / 2))
    middle = images[:, low:high, low:high].reshape(len(images), -1, 3)
    lightness, _, b = np.moveaxis(np.median(lab(middle), axis=1), -1, 0)
    return np.degrees(np.arctan2(lightness - 50, b))


def lab(pixels: np.ndarray) -> np.ndarray:
    """CIELAB [..., 3] of sRGB [..., 3], 0 to 255 (IEC 61966-2-1; CIE 15)."""
    c = np.asarray(pixels, float) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124564, 0.2126729, 0.0193339], [0.3575761, 0.7151522, 0.1191920], [0.1804375, 0.0721750, 0.9503041]])
    t = xyz / np.array([0.95047, 1.0, 1.08883])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def plugin(name: str, attributes: Sequence[str] = ()) -> AttributeClassifier | None:
    """The plug-in that `labels` names: `ita`, an .onnx file, or a file of text prompts; None where it names images.

    A network is run once, so that one that cannot be run is a UserInputError here and not after the models were sampled.
    """
    if name == "ita":
        return skin_colour()
    if name.endswith(ENDING):
        return _tried(open_prompts(name), name)
    if name.endswith(".onnx"):
        found = _tried(open_onnx(name), name)
        return found.only(attributes) if attributes else found
    return None


def _tried(classifier: AttributeClassifier, name: str) -> AttributeClassifier:
    """The same classifier, once it has judged two images: some networks take one at a time."""
    try:
        classifier.scores(np.zeros((2, 64, 64, 3), np.uint8))
    except UserInputError:
        raise
    except Exception as error:  # onnxruntime's have no other class in common
        said = (str(error).splitlines() or [""])[0][:200]
        found = f"the network of {name} cannot be run ({type(error).__name__}: {said})"
        raise UserInputError("labels", found, "look whether the file is whole and takes several images as it is told to") from error
    return classifier
