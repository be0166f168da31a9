"""One encoded image to pixels, with limits that a hostile file cannot pass."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..choices import MAX_RESOLUTION
from ..errors import UserInputError
from .memory import chunks
from .sniff import kind_of

MAX_PIXELS = 64_000_000  # per image, checked on the header before any pixel is decoded
BIG = 8_000_000  # pixels of an image beyond which no other such image is decoded at the same time
AT_ONCE = 64  # images on their way between file and their place
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")  # Pillow tries no other decoder
NO_HEIC = "HEIC needs the package pillow-heif, which is not installed"
_one_big = threading.Lock()


@dataclass(frozen=True)
class BadImage:
    """Why an image cannot be used, or is left out."""

    name: str
    kind: str  # unreadable, truncated, too large, animated, HEIC, other format, malformed name, not in the table
    why: str

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}: {self.why})"


@dataclass(frozen=True)
class WrongSize:
    """An image that cannot stay as it is, not decoded: it is not square, or too large."""

    name: str
    width: int
    height: int


@dataclass(frozen=True)
class Decoded:
    """An image with what its file tells of how it was made."""

    pixels: np.ndarray  # uint8 [H,W,3]
    file_size: int  # bytes
    format: str  # one of FORMATS; an MPO is a JPEG with a preview
    width: int  # of the file's image, before cropping and resizing
    height: int
    converted: tuple[str, ...] = ()  # from what, where that loses something: CMYK, 16 bits, transparency


def decode(
    name: str, read: Callable[[], bytes], resolution: int, admit: Callable[[int], None] = lambda pixels: None
) -> Decoded | WrongSize | BadImage:
    """The image, centre-cropped to a square and resized if `resolution` is not 0.

    admit: called with the pixels of the file before they are decoded; what it raises (UserInputError) is passed on.
    """
    try:
        data = read()
        if not data:
            return BadImage(name, "unreadable", "the file is empty")
        if kind_of(data) == "HEIC" and "HEIF" not in _formats():
            return BadImage(name, "HEIC", NO_HEIC)
        image = Image.open(io.BytesIO(data), formats=_formats())
        width, height = image.size
        if width * height > MAX_PIXELS:
            return BadImage(name, "too large", f"{width}x{height} pixels")
        if getattr(image, "is_animated", False) and image.format != "MPO":  # phones add a preview to a photo and call the pair MPO
            return BadImage(name, "animated", "several frames")
        if image.mode == "F":
            return BadImage(name, "unreadable", "its pixels are fractions, not 8 or 16 bits")
        if not resolution and (width != height or width > MAX_RESOLUTION):
            return WrongSize(name, width, height)
        admit(width * height)
        with _one_big if width * height > BIG else nullcontext():
            return _decoded(image, resolution, len(data))
    except (UserInputError, MemoryError):
        raise
    except SystemError as error:  # what Pillow's decoders make of a lack of memory
        raise MemoryError(str(error)) from error
    except Image.DecompressionBombError:
        return BadImage(name, "too large", f"more than {MAX_PIXELS:,} pixels")
    except UnidentifiedImageError:
        return BadImage(name, "unreadable", "not an image that can be read, whatever its name says")
    except OSError as error:
        reason = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
        return BadImage(name, "truncated" if "truncated" in reason.lower() else "unreadable", reason)
    except Exception as error:  # Pillow's decoders raise whatever a broken file makes them raise
        return BadImage(name, "unreadable", f"{type(error).__name__}: {error}".splitlines()[0])


def _decoded(image: Image.Image, resolution: int, file_size: int) -> Decoded:
    converted = ["16 bits"] if _has_16_bits(image) else []
    image.load()
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    if image.mode.startswith("I"):
        image = _from_16_bits(image)
    ImageOps.exif_transpose(image, in_place=True)
    width, height = image.size
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getextrema()[3][0] < 255:
            converted.append("transparency")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode == "CMYK":
        converted.append("CMYK")
    image = image.convert("RGB")
    as_it_is = not resolution or image.size == (resolution, resolution)
    pixels = np.asarray(image) if as_it_is else _fit(image, resolution)
    return Decoded(pixels, file_size, kind, width, height, tuple(converted))


def _has_16_bits(image: Image.Image) -> bool:
    """Whether an image that is not yet loaded has 16 bits a value. Of colours Pillow reads eight, and its mode does not tell."""
    if image.mode.startswith("I"):
        return True
    if image.format == "PPM":
        return any(tile.codec_name == "ppm" and tile.args[-1] > 255 for tile in image.tile)  # the largest value that the file declares
    return image.format in ("PNG", "TIFF") and any(";16" in str(tile.args) for tile in image.tile)


def _from_16_bits(image: Image.Image) -> Image.Image:
    """The full range of 16 bits as the full range of 8, whatever part of it the image uses."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels have more than 16 bits")
    grey = Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
    grey.info |= {"exif": image.info["exif"]} if "exif" in image.info else {}
    return grey


@lru_cache
def _formats() -> tuple[str, ...]:
    """The formats that this installation reads."""
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:
        pass
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def decode_all(
    reads: Iterable[tuple[str, Callable[[], bytes]]], resolution: int, admit: Callable[[int], None] = lambda pixels: None
) -> Iterator[Decoded | WrongSize | BadImage]:
    """Decode (name, read) pairs in order, a chunk at a time, on a few threads (Pillow releases the interpreter's lock)."""
    reads = iter(reads)
    pool = ThreadPoolExecutor(4)
    try:
        while chunk := list(islice(reads, AT_ONCE)):
            yield from pool.map(lambda item: decode(*item, resolution, admit), chunk)
    finally:
        pool.shutdown(cancel_futures=True)


def resized(pixels: np.ndarray, resolution: int, out: np.ndarray) -> np.ndarray:
    """Images [N,H,W,3] centre-cropped and resized as `decode` does it, into `out` uint8 [N,resolution,resolution,3]."""
    with ThreadPoolExecutor(4) as pool:
        for part in chunks(len(pixels), pixels.shape[1:]):
            out[part] = list(pool.map(lambda image: _fit(Image.fromarray(np.ascontiguousarray(image)), resolution), pixels[part]))
    return out


def _fit(image: Image.Image, resolution: int) -> np.ndarray:
    return np.asarray(ImageOps.fit(image, (resolution, resolution), Image.Resampling.LANCZOS))
