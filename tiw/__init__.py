"""TIW Studio: find dataset bias with a small reference set, and debias diffusion models with it.

The table of contents, in the order the data flows. Names load on first use, so that `import tiw` is instant and the
app, which only reads folders, never loads torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

CONTENTS = {
    "errors": ["UserInputError"],
    "data": ["ImageSet", "load_images", "load_demo", "make_split", "reference_from_shares"],
    "denoiser": ["Denoiser"],
    "features": ["RatioConfig"],
    "ratio": ["DensityRatio", "fit_density_ratio"],
    "attributes": ["AttributeClassifier", "fit_attribute_classifier"],
    "audit": ["AuditResult", "audit"],
    "even_out": ["EvenedOut", "even_out"],
    "sampling": ["sample"],
    "strength": ["StrengthMatch", "match_strength", "gap_closed"],
    "objectives": ["dsm", "iw_dsm", "tiw_dsm"],
    "debias": ["DebiasConfig", "TrainStep", "debias"],
    "compare": ["Comparison", "compare"],
}
_HOME = {name: module for module, names in CONTENTS.items() for name in names}
__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'tiw' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


class _Contents(ModuleType):
    """Keeps `tiw.audit`, `tiw.even_out`, `tiw.debias` and `tiw.compare` the functions: importing a submodule would put the module there."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, getattr(value, name) if name in _HOME and isinstance(value, ModuleType) else value)


sys.modules[__name__].__class__ = _Contents


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
