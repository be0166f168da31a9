"""Versions of what the numbers depend on."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from .. import __version__

PACKAGES = ("torch", "diffusers", "numpy", "scipy", "scikit-learn", "pandas", "pillow", "clean-fid")


@cache
def machine() -> str:
    """What the numbers were computed on, in words: processor, cores, and the GPU where torch has found one."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            named = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:  # no Linux
        named = []
    processor = (named or [platform.processor() or platform.machine()])[0]
    torch = sys.modules.get("torch")  # not loaded for this
    gpu = f", {torch.cuda.get_device_name()}" if torch is not None and torch.cuda.is_available() else ""
    return f"{processor}, {os.cpu_count()} cores{gpu}"


def package_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"tiw-studio": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
