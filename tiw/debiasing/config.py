"""What a fine-tune is told. A field out of range is a UserInputError at once, before any work."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..choices import MAX_STRENGTH, OBJECTIVES, WITH_ANCHOR
from ..errors import UserInputError

TIW = ("tiw-dsm", "correction-only", "weight-only")


@dataclass(frozen=True)
class DebiasConfig:
    """One fine-tune. Its defaults are those of `python -m tiw debias`. Raises UserInputError for a field out of range."""

    objective: str = "tiw-dsm"  # one of tiw.choices.OBJECTIVES
    steps: int = 300  # about what the command's two minutes are on 2 cores at the demo's size
    strength: float = 1.0  # alpha; `tiw.match_strength` finds it
    anchor: float = 1.0  # share of the frozen baseline in the target
    reference_share: float = 0.5
    finish: float = 0.0  # share of the steps, the last ones, in which the references are their own target
    batch_size: int = 48  # the anchored target is free of x0's noise: many small steps beat few large ones
    learning_rate: float = 0.0  # warmed up over the first tenth, then decayed to zero along a cosine; 0: the objective's usual one
    largest_gradient: float = 1.0  # a longer gradient is shortened to this norm, over all weights together: one odd batch costs little
    sigma_scale: float = 3.0  # TIW draws its noise levels this many times as high as the checkpoint did: shares are decided at high noise
    sigma_min: float = 0.0  # noise-level window; 0: the checkpoint's own
    sigma_max: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise UserInputError("objective", f"it is {self.objective!r}", f"choose one of {', '.join(OBJECTIVES)}")
        for name in ("steps", "batch_size"):
            if type(value := getattr(self, name)) is not int or value < 1:
                raise UserInputError(name, f"it is {value!r}", "give a whole number from 1")
        _within(self, "strength", 0, MAX_STRENGTH)
        _within(self, "anchor", 0, 1)
        _within(self, "reference_share", 0, 1)
        _within(self, "finish", 0, 1)
        for name in ("learning_rate", "sigma_min", "sigma_max"):
            _within(self, name, 0, math.inf)
        for name in ("largest_gradient", "sigma_scale"):
            if not (value := getattr(self, name)) > 0:
                raise UserInputError(name, f"it is {value}", "give a number above 0")
        if 0 < self.sigma_max <= self.sigma_min:
            raise UserInputError("sigma_max", f"it is {self.sigma_max}, not above sigma_min {self.sigma_min}", "widen the window")
        if self.objective != "dsm-ref" and self.exact_share == 1:
            found = f"{self.reference_share} of {self.batch_size} images leave no biased one in a batch"
            raise UserInputError("reference_share", found, "give a smaller share or larger batches")

    @property
    def rate(self) -> float:
        """The learning rate. The usual one: an anchored target has no noise to average out and is little away from the model as it is; a
        higher rate first spoils the lower noise levels and spends the run on mending them (docs/METHOD.md, "Noise levels")."""
        return self.learning_rate or (1e-4 if self.anchor and self.objective in WITH_ANCHOR else 3e-4)

    @property
    def references_a_batch(self) -> int:
        """Whole images: what `reference_share` comes to."""
        return self.batch_size if self.objective == "dsm-ref" else round(self.reference_share * self.batch_size)

    @property
    def exact_share(self) -> float:
        """pi as the batches have it, which is the one that the weights must be made with."""
        return self.references_a_batch / self.batch_size

    @property
    def _last(self) -> int:
        return round(self.finish * self.steps) if self.objective in WITH_ANCHOR else 0

    def finishing(self, step: int) -> bool:
        """Whether the references are their own target in this step, 1 to `steps`."""
        return step > self.steps - self._last

    def place(self, step: int) -> tuple[int, int]:
        """(step, steps) of the part of the run that this step is in: the finish has a schedule of its own."""
        return (step - self.steps + self._last, self._last) if self.finishing(step) else (step, self.steps - self._last)


def _within(config: DebiasConfig, name: str, low: float, high: float) -> None:
    value = getattr(config, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and low <= value <= high):
        wanted = f"from {low} to {high}" if math.isfinite(high) else f"from {low}"
        raise UserInputError(name, f"it is {value!r}", f"give a number {wanted}")
