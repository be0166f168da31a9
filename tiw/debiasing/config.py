"""What a fine-tune is told. A field out of range is a UserInputError at once, before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..choices import MAX_STRENGTH, OBJECTIVES, OWN_TARGET, WITH_RATIO
from ..described import Checked, option
from ..errors import UserInputError

if TYPE_CHECKING:
    import torch

TIW = ("tiw-dsm", "correction-only", "weight-only")
RATE, OWN_TARGET_RATE = 3e-4, 1.5e-4  # the usual ones (docs/METHOD.md, "Learning rate")
RATE_OF, SLOWEST, FASTEST = 3.8e6, 0.2, 4.0  # of a network with so many parameters; bounds of the factor for another size


@dataclass(frozen=True)
class DebiasConfig(Checked):
    """One fine-tune. Its defaults are those of `python -m tiw debias`. Raises UserInputError for a field out of range."""

    objective: str = option("tiw-dsm", "What is minimised:", choices=OBJECTIVES)
    steps: int = option(300, "Of the optimiser; about what the command's two minutes are on 2 cores at the demo's size.", low=1)
    strength: float = option(1.0, "alpha; `tiw.match_strength` finds it.", low=0, high=MAX_STRENGTH)
    reference_share: float = option(0.85, "Share of the references in a batch.", low=0, high=1, open_high=True)
    batch_size: int = option(48, "Images a step.", low=1)
    learning_rate: float = option(
        0.0, "Warmed up over the first tenth, then decayed to zero along a cosine; 0: the usual one for the network's size.", low=0, high=1
    )
    largest_gradient: float = option(
        1.0, "A longer gradient, over all weights together, is shortened to this norm: one odd batch costs little.", low=0, open_low=True
    )
    # Shares are decided at high noise.
    sigma_scale: float = option(3.0, "TIW draws its noise levels this many times as high as the checkpoint did.", low=0, open_low=True)
    sigma_min: float = option(0.0, "Lowest noise level; 0: the checkpoint's own.", low=0)
    sigma_max: float = option(0.0, "Highest noise level; 0: the checkpoint's own.", low=0)
    seed: int = option(0, "Everything random follows from it.", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.sigma_max <= self.sigma_min:
            raise UserInputError("sigma_max", f"it is {self.sigma_max}, not above sigma_min {self.sigma_min}", "widen the window")
        if self.batch_size == 1 and self.reference_share and self.objective != "dsm-ref":
            raise UserInputError("batch_size", "it is 1, which leaves no room for images of both sets", "give larger batches")

    def rate(self, network: torch.nn.Module) -> float:
        """The learning rate: as given, or the usual one, which is lower for a larger network (docs/METHOD.md, "Learning rate")."""
        factor = RATE_OF / sum(p.numel() for p in network.parameters())
        usual = OWN_TARGET_RATE if self.objective in OWN_TARGET else RATE
        return self.learning_rate or usual * min(FASTEST, max(SLOWEST, factor))

    @property
    def references_a_batch(self) -> int:
        """Whole images: what `reference_share` comes to, with one biased image at least, but for DSM(ref)."""
        if self.objective == "dsm-ref":
            return self.batch_size
        return min(round(self.reference_share * self.batch_size), self.batch_size - 1)

    @property
    def corrected_a_batch(self) -> int:
        """Whole images that the ratio is asked about: none without one, and no reference that is its own target."""
        if self.objective not in WITH_RATIO:
            return 0
        return self.batch_size - (self.references_a_batch if self.objective in OWN_TARGET else 0)

    @property
    def exact_share(self) -> float:
        """pi as the batches have it, which is the one that the weights must be made with."""
        return self.references_a_batch / self.batch_size
