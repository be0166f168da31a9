"""Was the baseline trained on this biased set? Its samples against the set's own images, by a held-out discriminator.

Guidance and the matched strength take the frozen baseline for a model of the biased set, and pass its errors on (docs/METHOD.md). The
discriminator sees what the audit sees without a model, the image at 16x16 pixels under noise. The model's own features are not used. They
may be blind to its failings. At this noise level wrong subjects and wrong shares still show, and small faults of painting do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..data import ImageSet
from ..intervals import Estimate
from ..model.denoiser import Denoiser
from ..model.memory import thinned
from ..model.sampling import labels_like, sample
from ..ratio.diagnostics import auc_delong
from ..ratio.features import CLEAR, PixelEncoder, features_at
from ..streams import stream

COMPONENTS = 50  # principal components of the pixels, at most, and one for ten images
FOREIGN = 0.6  # the AUC's interval lies above: the demo's baseline 0.59 [0.54, 0.63], a perfect model of even shares 0.68 [0.64, 0.73]


@dataclass(frozen=True)
class BaselineCheck:
    """Held-out AUC of the baseline's samples against images of the biased set: 0.5 where nothing tells them apart."""

    auc: float
    interval: tuple[float, float]  # 95 %, DeLong et al. 1988
    n: int  # samples
    n_biased: int  # images of the biased set
    differs: bool  # clearly
    sentence: str


def check_baseline(
    denoiser: Denoiser,
    biased: ImageSet,
    *,
    count: int = 240,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> BaselineCheck:
    """Tell `count` samples (fewer of large images) from twice as many biased images: ridge logistic regression, five folds."""
    count = thinned(count, denoiser.shape, 40)
    seeds = range(seed + 2_000_000, seed + 2_000_000 + count)
    say = None if on_progress is None else lambda done: on_progress(done, count)
    # A class-conditional model paints the classes in the set's own shares: only what it makes of them is under test.
    images = sample(denoiser, seeds, labels=labels_like(biased.labels, seeds), on_batch=say)
    rows = stream(seed, "baseline check").permutation(len(biased))[: 2 * count]
    x = np.concatenate(
        [
            features_at(PixelEncoder(), pixels, items, (CLEAR,), seed)[0, 0].numpy()
            for pixels, items in ((biased.images[np.sort(rows)], np.sort(rows)), (images, np.arange(count) + (1 << 32)))
        ]
    )
    y = np.repeat([0, 1], [len(rows), count])
    logit = _held_out_logits(x, y, seed)
    auc = auc_delong(logit[y == 0], logit[y == 1])
    differs = auc.interval[0] > FOREIGN
    numbers = f"held-out AUC {auc.text()}, {count} samples"
    if differs:
        sentence = (
            f"The baseline's samples can be told from the biased set ({numbers}): it does not look trained on this set. Guidance and the "
            "matched strength cannot be relied on; better train a baseline on this set first: "
            "python -m tiw train."
        )
    else:
        sentence = f"The baseline's samples look like the biased set ({numbers})."
    return BaselineCheck(auc.value, auc.interval, count, len(rows), differs, sentence)


@dataclass(frozen=True)
class TrainingCheck:
    """Is a baseline that was just trained good enough to debias, and would more training help?"""

    check: BaselineCheck  # of the trained model
    halfway: BaselineCheck | None  # of the model after half of the steps, from the same seeds; None: there is none
    falling: bool | None  # whether the AUC clearly fell in the second half (one-sided 97.5 %, the two taken as independent)
    sentence: str


def check_training(
    denoiser: Denoiser,
    halfway: Denoiser | None,
    images: ImageSet,
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> TrainingCheck:
    """`check_baseline` of a model against the images it was trained on, and of the same model after half of its steps."""
    now = check_baseline(denoiser, images, seed=seed, on_progress=on_progress)
    before = None if halfway is None else check_baseline(halfway, images, seed=seed, on_progress=on_progress)
    falling = None
    numbers = f"held-out AUC {_auc(now).text()}, {now.n} samples"
    if before is not None:
        falling = bool(before.auc - now.auc > np.hypot(_half_width(before), _half_width(now)))
    if not now.differs:
        said = [f"This baseline is ready to debias: a test hardly tells its samples from the images it was trained on ({numbers})."]
    else:
        said = [f"This baseline is trained too little to debias: a test tells its samples from the images it was trained on ({numbers})."]
        if before is not None:
            was = f"Half way through the training the AUC was {_auc(before).text()}"
            said.append(
                f"{was}. It still falls, so train longer."
                if falling
                else f"{was}. It has not clearly changed since: more images or a larger network may help more than time."
            )
    return TrainingCheck(now, before, falling, " ".join(said))


def _auc(check: BaselineCheck) -> Estimate:
    return Estimate(check.auc, check.interval)


def _half_width(check: BaselineCheck) -> float:
    return (check.interval[1] - check.interval[0]) / 2


def _held_out_logits(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Logits [n] of features [n, F] for labels 0 and 1, each by a fold's fit that has not seen it."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    components = min(COMPONENTS, max(2, len(x) // 10))
    model = make_pipeline(
        StandardScaler(),
        PCA(components, random_state=seed),
        StandardScaler(),
        LogisticRegression(C=1e-2, class_weight="balanced", max_iter=1000),
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return cross_val_predict(model, x, y, cv=folds, method="decision_function")
