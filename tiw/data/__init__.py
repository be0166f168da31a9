"""Images in: anyone's, and the embedded demo's."""

from .arrays import npz_rows, write_npz
from .checks import Problem, check_sets
from .child import Cancelled, forget_sets, load_in_child
from .classes import with_classes
from .demo import Demo, demo_path, load_demo, load_set
from .estimate import SetEstimate, estimate, source_stamp
from .image_set import Fingerprint, ImageSet, noisy_strip
from .labels import text_of
from .limits import Limits
from .load import load_images
from .readers import tidy_path
from .references import choose_references, reference_from_shares, reference_rows
from .rows import source_of, write_rows, write_split
from .splits import Split, make_split, parse_shares
from .tables import write_parquet

__all__ = [
    "Cancelled",
    "Demo",
    "Fingerprint",
    "ImageSet",
    "Limits",
    "Problem",
    "SetEstimate",
    "Split",
    "check_sets",
    "choose_references",
    "demo_path",
    "estimate",
    "forget_sets",
    "load_demo",
    "load_images",
    "load_in_child",
    "load_set",
    "make_split",
    "noisy_strip",
    "npz_rows",
    "parse_shares",
    "reference_from_shares",
    "reference_rows",
    "source_of",
    "source_stamp",
    "text_of",
    "tidy_path",
    "with_classes",
    "write_npz",
    "write_parquet",
    "write_rows",
    "write_split",
]
