"""What `pip install .` leaves: the package, the page, and the demo's images and models, where each of them looks for its own."""

import subprocess
import sys
from pathlib import Path

import tiw.files

ROOT = Path(__file__).parents[1]
# Where every file of the wheel comes from: its place in the wheel, and its source.
LISTED = """
from setuptools import Distribution
dist = Distribution({"script_name": "setup.py"})
dist.parse_config_files()
build = dist.get_command_obj("build_py")
build.ensure_finalized()
for package, module, source in build.find_all_modules():
    print("/".join([*package.split("."), module + ".py"]), source, sep="\\t")
for package, folder, _, names in build.data_files:
    for name in names:
        print("/".join([*package.split("."), name]), f"{folder}/{name}", sep="\\t")
"""


def below(folder: str, pattern: str = "*") -> set[str]:
    found = (path for path in (ROOT / folder).rglob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_the_wheel_holds_the_package_the_page_and_what_the_demo_needs():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", LISTED], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    placed = dict(line.split("\t") for line in done.stdout.splitlines())
    pages = {path: f"tiw/page/{path.removeprefix('ui/')}" for path in below("ui", "*.py")}
    data = ("assets/app", "assets/demo", "assets/example", "docs/questions")
    shipped = {path: f"tiw/shipped/{path}" for folder in data for path in below(folder)}
    shipped |= {path: f"tiw/shipped/{path}" for path in below("checkpoints") if not path.endswith(".md")}
    expected = {path: path for path in below("tiw", "*.py") | below("tiw", "*.html")} | pages | shipped
    assert {source: place for place, source in placed.items()} == expected


def test_what_is_shipped_is_found_beside_the_package_and_within_it(tmp_path, monkeypatch):
    assert (tiw.files.shipped("checkpoints") / "baseline" / "denoiser.json").is_file()
    installed = tmp_path / "tiw" / "shipped" / "checkpoints"
    installed.mkdir(parents=True)
    monkeypatch.setattr(tiw.files, "__file__", str(tmp_path / "tiw" / "files.py"))
    assert tiw.files.shipped("checkpoints") == installed
    assert tiw.files.shipped("assets") == tmp_path / "assets"


def test_the_page_starts_from_the_command():
    done = subprocess.run([sys.executable, "-m", "tiw", "app", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "tiw app" in done.stdout and "--port" in done.stdout, done.stderr
