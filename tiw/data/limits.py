"""What a set of images may cost: sides, pixels, bytes, memory and time."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from ..choices import MIN_RESOLUTION
from ..errors import UserInputError

BOUNDS = "TIW_SET_LIMITS"  # environment variable: what sets may cost the runs of an app that is open to strangers
SIZES = (16, 32, 64, 128, 256, 512, 1024)  # offered where a size must be chosen


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one set of images. Each is checked before the work that it bounds; infinite unless stated."""

    images: float = float("inf")
    pixels: float = float("inf")  # of all files together, as they lie there: what decoding costs
    result_bytes: float = float("inf")  # of all images together, as they are kept: n * side^2 * 3
    memory: int = 3 << 30  # bytes that a child process may take beside the result
    seconds: float = 1800.0  # that a child process may take

    def impose(self) -> None:
        """Let the processes that this one starts read sets within these bounds only."""
        os.environ[BOUNDS] = json.dumps(asdict(self))

    @staticmethod
    def imposed() -> Limits | None:
        """Those that the app has imposed on this process; None: none."""
        return Limits(**json.loads(os.environ[BOUNDS])) if BOUNDS in os.environ else None

    def check_images(self, n: int, field: str) -> None:
        """Raises UserInputError where there are too many images."""
        if n > self.images:
            raise UserInputError(field, f"it has {n:,} images, more than the {self.images:,.0f} allowed here", "give fewer images")

    def check_pixels(self, pixels: int, field: str) -> None:
        """Raises UserInputError where the files have more pixels together than may be decoded."""
        if pixels > self.pixels:
            found = f"its files have more than {self.pixels / 1e6:,.0f} million pixels together, the most that is read here"
            raise UserInputError(field, found, "give fewer or smaller images")

    def check_result(self, n: int, side: int, field: str) -> None:
        """Raises UserInputError where n images of this side would take too much room."""
        if (needed := n * side**2 * 3) > self.result_bytes:
            found = (
                f"{n:,} images of {side} pixels a side take {in_words(needed)}, more than the {in_words(self.result_bytes)} allowed here"
            )
            raise UserInputError(field, found, "choose a smaller resolution or fewer images")


NO_LIMITS = Limits()


def usual_size(side: int) -> int:
    """The usual resolution that is nearest below an image's side, or the smallest."""
    return max((size for size in SIZES if size <= side), default=MIN_RESOLUTION)


def in_words(n: float) -> str:
    """Bytes as people read them."""
    return f"{n / 2**30:,.1f} GiB" if n >= 1 << 30 else f"{n / 2**20:,.0f} MiB" if n >= 1 << 20 else f"{n / 2**10:,.0f} KiB"
