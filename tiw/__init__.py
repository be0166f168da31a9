"""TIW Studio: find dataset bias with a small reference set, and debias diffusion models with it.

The table of contents, in the order the data flows. Names load on first use, so that `import tiw` is instant and the
app, which only reads folders, never loads torch.
"""

from __future__ import annotations

import os
from importlib import import_module

# MKL rounds a product with a single row by where the row lies in memory, unless told otherwise: a resumed run with one biased image in a
# batch would end in other weights. MKL reads this at its first product, so it stands before anything can load torch.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

__version__ = "0.1.0"

CONTENTS = {
    "errors": ["UserInputError"],
    "data": ["ImageSet", "load_images", "load_demo", "make_split", "reference_from_shares"],
    "model.denoiser": ["Denoiser"],
    "model.sampling": ["sample"],
    "ratio.features": ["RatioConfig"],
    "ratio.density_ratio": ["DensityRatio", "fit_density_ratio"],
    "auditing.even_out": ["EvenedOut", "even_out"],
    "auditing.audit": ["AuditResult", "audit"],
    "debiasing.strength": ["StrengthMatch", "match_strength", "gap_closed"],
    "debiasing.objectives": ["dsm", "iw_dsm", "tiw_dsm"],
    "debiasing.config": ["DebiasConfig"],
    "debiasing.fine_tune": ["TrainStep", "debias"],
    "debiasing.lagging": ["measure_lagging"],
    "comparing.encoders": ["Encoder"],
    "comparing.classifier": ["AttributeClassifier", "fit_attribute_classifier"],
    "comparing.corrected": ["CorrectedShares", "corrected_shares", "share_difference"],
    "comparing.residual": ["Residual", "residual_test"],
    "comparing.spot": ["draw_strata", "post_stratified"],
    "comparing.compare": ["Comparison", "compare"],
}
_HOME = {name: module for module, names in CONTENTS.items() for name in names}
__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'tiw' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
