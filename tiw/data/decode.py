"""One encoded image to pixels, with limits that a hostile file cannot pass."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 64_000_000  # per image, checked on the header before any pixel is decoded
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # Pillow tries no other decoder


@dataclass(frozen=True)
class BadImage:
    """Why an image cannot be used."""

    name: str
    kind: str  # unreadable, truncated, too large, animated, CMYK, 16-bit
    why: str


def decode(name: str, read: Callable[[], bytes], resolution: int | None) -> np.ndarray | BadImage:
    """uint8 [H,W,3]; centre-cropped to a square and resized if `resolution` is given."""
    try:
        image = Image.open(io.BytesIO(read()), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            return BadImage(name, "too large", f"{image.width}x{image.height} pixels")
        if getattr(image, "n_frames", 1) > 1:
            return BadImage(name, "animated", f"{image.n_frames} frames")
        if image.mode == "CMYK":
            return BadImage(name, "CMYK", "printing colours, not RGB")
        if image.mode.startswith("I") or image.mode == "F":
            return BadImage(name, "16-bit", f"pixel mode {image.mode}")
        image.load()
    except Image.DecompressionBombError:
        return BadImage(name, "too large", f"more than {MAX_PIXELS:,} pixels")
    except OSError as error:
        return BadImage(name, "truncated" if "truncated" in str(error).lower() else "unreadable", str(error).splitlines()[0])
    except Exception as error:  # Pillow's decoders raise whatever a broken file makes them raise
        return BadImage(name, "unreadable", f"{type(error).__name__}: {error}".splitlines()[0])
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("RGB")
    if resolution is not None and image.size != (resolution, resolution):
        image = ImageOps.fit(image, (resolution, resolution), Image.Resampling.LANCZOS)
    return np.asarray(image)


def decode_all(items: Iterable[tuple[str, Callable[[], bytes]]], resolution: int | None) -> list[np.ndarray | BadImage]:
    """Decode (name, read) pairs in order, on a few threads (Pillow releases the interpreter's lock)."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda item: decode(*item, resolution), items))
