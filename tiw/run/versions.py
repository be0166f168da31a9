"""Versions of what the numbers depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from .. import __version__

PACKAGES = ("torch", "diffusers", "numpy", "scipy", "scikit-learn", "pandas", "pillow", "clean-fid")


def package_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"tiw-studio": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
