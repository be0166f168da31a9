"""Images in: anyone's, and the embedded demo's."""

from .demo import Demo, load_demo, load_set
from .image_set import Fingerprint, ImageSet, noisy_strip
from .load import load_images

__all__ = ["Demo", "Fingerprint", "ImageSet", "load_demo", "load_images", "load_set", "noisy_strip"]
