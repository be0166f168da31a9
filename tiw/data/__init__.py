"""Images in: anyone's, and the embedded demo's."""

from .checks import Problem, check_sets
from .demo import Demo, load_demo, load_set
from .image_set import Fingerprint, ImageSet, noisy_strip
from .load import load_images

__all__ = ["Demo", "Fingerprint", "ImageSet", "Problem", "check_sets", "load_demo", "load_images", "load_set", "noisy_strip"]
