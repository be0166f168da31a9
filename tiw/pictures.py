"""Contact sheets."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def contact_sheet(images: np.ndarray, columns: int = 8, gap: int = 2) -> bytes:
    """uint8 [N,H,W,3] -> one WebP picture, row by row."""
    n, height, width = images.shape[:3]
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, "WEBP", quality=92)
    return out.getvalue()
