"""Images in: anyone's, and the embedded demo's."""

from .checks import Problem, check_sets
from .demo import Demo, demo_path, load_demo, load_set
from .image_set import Fingerprint, ImageSet, noisy_strip
from .load import load_images
from .splits import Split, make_split, parse_shares, reference_from_shares, reference_rows, write_rows, write_split
from .tables import write_parquet

__all__ = [
    "Demo",
    "Fingerprint",
    "ImageSet",
    "Problem",
    "Split",
    "check_sets",
    "demo_path",
    "load_demo",
    "load_images",
    "load_set",
    "make_split",
    "noisy_strip",
    "parse_shares",
    "reference_from_shares",
    "reference_rows",
    "write_parquet",
    "write_rows",
    "write_split",
]
