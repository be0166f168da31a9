"""One encoded image to pixels, with limits that a hostile file cannot pass."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .memory import chunks

MAX_PIXELS = 64_000_000  # per image, checked on the header before any pixel is decoded
AT_ONCE = 64  # images on their way between file and their place
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # Pillow tries no other decoder


@dataclass(frozen=True)
class BadImage:
    """Why an image cannot be used."""

    name: str
    kind: str  # unreadable, truncated, too large, animated, CMYK, 16-bit, malformed name
    why: str


@dataclass(frozen=True)
class Decoded:
    """An image with what its file tells of how it was made."""

    pixels: np.ndarray  # uint8 [H,W,3]
    file_size: int  # bytes
    width: int  # of the file's image, before cropping and resizing


def decode(name: str, read: Callable[[], bytes], resolution: int) -> Decoded | BadImage:
    """The image, centre-cropped to a square and resized if `resolution` is not 0."""
    try:
        data = read()
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            return BadImage(name, "too large", f"{image.width}x{image.height} pixels")
        if getattr(image, "is_animated", False) and image.format != "MPO":  # phones add a preview to a photo and call the pair MPO
            return BadImage(name, "animated", "several frames")
        if image.mode == "CMYK":
            return BadImage(name, "CMYK", "printing colours, not RGB")
        if image.mode.startswith("I") or image.mode == "F":
            return BadImage(name, "16-bit", f"pixel mode {image.mode}")
        image.load()
    except Image.DecompressionBombError:
        return BadImage(name, "too large", f"more than {MAX_PIXELS:,} pixels")
    except UnidentifiedImageError:
        return BadImage(name, "unreadable", f"not one of {', '.join(FORMATS)}, whatever its name says")
    except OSError as error:
        return BadImage(name, "truncated" if "truncated" in str(error).lower() else "unreadable", str(error).splitlines()[0])
    except Exception as error:  # Pillow's decoders raise whatever a broken file makes them raise
        return BadImage(name, "unreadable", f"{type(error).__name__}: {error}".splitlines()[0])
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("RGB")
    as_it_is = not resolution or image.size == (resolution, resolution)
    return Decoded(np.asarray(image) if as_it_is else _fit(image, resolution), len(data), image.width)


def decode_all(reads: Iterable[tuple[str, Callable[[], bytes]]], resolution: int) -> Iterator[Decoded | BadImage]:
    """Decode (name, read) pairs in order, a chunk at a time, on a few threads (Pillow releases the interpreter's lock)."""
    reads = iter(reads)
    with ThreadPoolExecutor(4) as pool:
        while chunk := list(islice(reads, AT_ONCE)):
            yield from pool.map(lambda item: decode(*item, resolution), chunk)


def resized(pixels: np.ndarray, resolution: int, out: np.ndarray) -> np.ndarray:
    """Images [N,H,W,3] centre-cropped and resized as `decode` does it, into `out` uint8 [N,resolution,resolution,3]."""
    with ThreadPoolExecutor(4) as pool:
        for part in chunks(len(pixels), pixels.shape[1:]):
            out[part] = list(pool.map(lambda image: _fit(Image.fromarray(np.ascontiguousarray(image)), resolution), pixels[part]))
    return out


def _fit(image: Image.Image, resolution: int) -> np.ndarray:
    return np.asarray(ImageOps.fit(image, (resolution, resolution), Image.Resampling.LANCZOS))
