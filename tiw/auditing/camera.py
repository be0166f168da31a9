"""Is it the people, or the camera? Whether how the images were taken, not what they show, tells the two sets apart.

A ratio measures every difference between the sets. Each property below is one number per image; if one of them alone separates the
sets, held out, the audit says so before anything else. Sharpness and compression depend on what an image shows, too: they count as far
as the image at a sixteenth of its size does not explain them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

from ..data import ImageSet
from ..intervals import Estimate
from ..ratio.diagnostics import auc_delong
from ..streams import stream

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue
BINS = 12  # of a property, filled equally by the reference set
MOST = 2000  # images of a set that are looked at
ALONE = 0.60  # a property whose held-out AUC lies above this (lower end of its interval) is reported: in either direction, and in spread
SUSPECTS = {
    "borders": "crop both sets in the same way, so that neither has a frame",
    "compression": "save both sets with the same format and quality",
    "sharpness": "bring both sets to one resolution by the same resizing",
    "brightness": "equalise the brightness of both sets, unless it belongs to the subject",
    "contrast": "equalise the contrast of both sets, unless it belongs to the subject",
    "red cast": "balance the colours of both sets, unless they belong to the subject",
    "blue cast": "balance the colours of both sets, unless they belong to the subject",
    "file size": "save both sets with the same format and quality",
    "original width": "take both sets from originals of one size",
}
OF_FILES = ("file size", "original width")  # a ratio, which sees pixels, may know nothing of them
EXPLAINED = ("sharpness", "compression", "file size")  # as far as the subject explains them, they are not the camera's
TAKEN = ("borders", "compression", "sharpness", *OF_FILES)  # of the camera alone; the others may belong to the subject


@dataclass(frozen=True)
class Suspect:
    """One property that separates the sets on its own."""

    name: str
    auc: Estimate  # held out, of a discriminator that sees this number alone; 0.5: says nothing
    biased: float  # median
    reference: float  # median
    fix: str
    subject: bool  # may as well belong to what the images show
    examples: tuple[int, ...]  # four items of either set that are most typical of it: rows of biased, then reference

    @property
    def sentence(self) -> str:
        low, high = self.auc.interval
        about = f"{self.name} alone separates the sets (held-out AUC {self.auc.value:.2f} [{low:.2f}, {high:.2f}]"
        fix = f"{self.fix[:1].upper()}{self.fix[1:]}"
        measures = "may measure" if self.name in OF_FILES else "then measures"
        tail = "Check whether it belongs to the subject" if self.subject else f"The ratio {measures} how the images were made. {fix}"
        return f"{about}, medians {_number(self.biased)} and {_number(self.reference)}). {tail}."


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def properties(images: np.ndarray) -> dict[str, np.ndarray]:
    """Properties of uint8 images [N,H,W,3], one number each, [N]."""
    x = images.astype(np.float32) / 255
    grey = x @ GREY
    mean = x.mean((1, 2))
    laplacian = 4 * grey[:, 1:-1, 1:-1] - grey[:, :-2, 1:-1] - grey[:, 2:, 1:-1] - grey[:, 1:-1, :-2] - grey[:, 1:-1, 2:]
    by_blocks = {"compression": _blockiness(grey)} if grey.shape[2] > 16 else {}
    return {
        "borders": _border(grey),
        **by_blocks,
        "sharpness": np.log(laplacian.var((1, 2)) + 1e-8) - np.log(grey.var((1, 2)) + 1e-8),
        "brightness": grey.mean((1, 2)),
        "contrast": grey.std((1, 2)),
        "red cast": mean[:, 0] - mean[:, 1],
        "blue cast": mean[:, 2] - mean[:, 1],
    }


def _border(grey: np.ndarray) -> np.ndarray:
    """Sides of the image that are one flat line of (nearly) black or white while the line's inner neighbours are not, 0 to 4."""
    flat = 0.0
    for side in range(4):
        turned = np.rot90(grey, side, (1, 2))
        edge = turned[:, 0]
        even = (edge.max(1) - edge.min(1) < 0.04) & ((edge.mean(1) < 0.06) | (edge.mean(1) > 0.97))
        inner = turned[:, turned.shape[1] // 3]
        flat = flat + (even & (inner.max(1) - inner.min(1) > 0.08))
    return np.asarray(flat, np.float32)


def _blockiness(grey: np.ndarray) -> np.ndarray:
    """How much larger steps are across the borders of 8x8 blocks than elsewhere, in logarithms: JPEG at low quality leaves them."""
    steps = np.concatenate([np.abs(np.diff(grey, axis=2)), np.abs(np.diff(grey, axis=1)).transpose(0, 2, 1)], axis=1).mean(1)  # [N, W - 1]
    across = np.arange(steps.shape[1]) % 8 == 7
    return np.log(steps[:, across].mean(1) + 1e-4) - np.log(steps[:, ~across].mean(1) + 1e-4)


def camera_check(biased: ImageSet, reference: ImageSet, seed: int = 0) -> list[Suspect]:
    """Properties that alone separate the sets on images the discriminator has not seen, worst first; empty if none does."""
    rng = stream(seed, "camera check")
    rows = [np.sort(rng.permutation(len(s))[:MOST]) for s in (biased, reference)]
    pixels = [_pixels(s, r) for s, r in zip((biased, reference), rows, strict=True)]
    found = [properties(x) | _of_files(s, r) for x, s, r in zip(pixels, (biased, reference), rows, strict=True)]
    if _format(biased) != _format(reference):  # a PNG is larger than the WebP of the same pixels
        found[0].pop("file size", None)
    content = _content(np.concatenate(pixels))
    items = np.r_[rows[0], len(biased) + rows[1]]
    label = np.repeat([0, 1], [len(r) for r in rows])
    suspects = []
    for name, fix in SUSPECTS.items():
        if name not in found[0] or name not in found[1]:
            continue
        value = np.r_[found[0][name], found[1][name]]
        medians = [float(np.median(value[label == k])) for k in (0, 1)]
        if name in EXPLAINED:
            value = value - _explained(content, value, label)
        logit = _held_out(value, label, seed)
        auc = auc_delong(logit[label == 0], logit[label == 1])
        if auc.interval[0] <= ALONE:
            continue
        own, others = np.flatnonzero(label == 0), np.flatnonzero(label == 1)
        typical = np.r_[own[np.argsort(logit[own])[:4]], others[np.argsort(-logit[others])[:4]]]
        suspects.append(Suspect(name, auc, *medians, fix, name not in TAKEN, tuple(items[typical].tolist())))
    return sorted(suspects, key=lambda s: (s.subject, -s.auc.value))


def _of_files(images: ImageSet, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What the images' files tell; nothing for images that came as pixels."""
    return {} if images.files is None else {name: images.files[name].to_numpy(float)[rows] for name in OF_FILES}


def _format(images: ImageSet) -> str:
    """The format of most of the files."""
    return "" if images.files is None else images.files["format"].mode()[0]


def _pixels(images: ImageSet, rows: np.ndarray) -> np.ndarray:
    """At most 128 pixels wide: the properties need no more."""
    x = np.asarray(images.images[rows])
    if x.shape[1] <= 128:
        return x
    return np.stack([np.asarray(Image.fromarray(image).resize((128, 128), Image.Resampling.BOX)) for image in x])


def _content(images: np.ndarray) -> np.ndarray:
    """What the images show, coarsely: principal components of 16x16 pixels and their squares, [N, 2 Q].

    Whatever an image's brightness, contrast and casts are: a set that was brightened would lie where the regression has seen nothing, and
    its sharpness, which brightness does not change, would not be explained.
    """
    small = np.stack([np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.BOX)) for image in images]).astype(np.float32)
    small -= small.mean((1, 2), keepdims=True)
    flat = (small / (small.std((1, 2, 3), keepdims=True) + 1)).reshape(len(small), -1)
    q = PCA(min(64, len(flat) // 10), whiten=True, svd_solver="randomized", random_state=0).fit_transform(flat)
    return np.concatenate([q, q**2], 1)


def _explained(content: np.ndarray, value: np.ndarray, label: np.ndarray) -> np.ndarray:
    """What the content says the value is, [N], by ridge regression on biased images only; those by folds, so that no set fits better."""
    model = RidgeCV(np.logspace(0, 4, 5))
    own = label == 0
    predicted = np.empty(len(value))
    predicted[own] = cross_val_predict(model, content[own], value[own], cv=KFold(5, shuffle=True, random_state=0))
    predicted[~own] = model.fit(content[own], value[own]).predict(content[~own])
    return predicted


def _held_out(value: np.ndarray, label: np.ndarray, seed: int) -> np.ndarray:
    """Logits [N] by histograms of the value in both sets, five folds: a threshold, a band and a spread are all seen."""
    logit = np.zeros(len(label))
    edges = np.quantile(value[label == 1], np.linspace(0, 1, BINS + 1)[1:-1])
    known, counts = np.unique(value, return_counts=True)
    shared = edges[np.isin(edges, known[counts > 1])]  # has a bin of its own: no frame, four sides. One image's value must not have one
    edges = np.unique(np.r_[edges, np.nextafter(shared, np.inf)])
    place = np.searchsorted(edges, value, side="right")
    folds = StratifiedKFold(min(5, int(np.bincount(label).min())), shuffle=True, random_state=seed)
    for seen, unseen in folds.split(place, label):
        shares = [np.bincount(place[seen][label[seen] == k], minlength=len(edges) + 1) + 1.0 for k in (0, 1)]
        log_ratio = np.log(shares[1] / shares[1].sum()) - np.log(shares[0] / shares[0].sum())
        logit[unseen] = log_ratio[place[unseen]]
    return logit
