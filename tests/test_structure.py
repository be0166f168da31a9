"""The rules of the house, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# In the order the data flows, helpers just above their first user.
ORDER = [
    *(
        "errors",
        "files",
        "options",
        "toys",
        "data",
        "pictures",
        "world",
        "device",
        "noise",
        "torchvision_ops",
        "networks",
        "denoiser",
        "features",
        "estimators",
        "ratio",
        "attributes",
    ),
    *(
        "diagnostics",
        "power",
        "camera",
        "even_out",
        "groups",
        "audit",
        "embedding",
        "sampling",
        "strength",
        "baseline_check",
        "objectives",
        "debias",
        "quality",
        "compare",
        "report",
    ),
    *("runs", "inputs", "training", "commands", "execute", "jobs", "__main__"),
]
# Guidance needs the gradient of log r, which the objectives define.
EXCEPTIONS = {("sampling", "objectives")}


def imports(path: Path) -> set[str]:
    """Every module a file imports, at any depth, by its absolute name; `from x import y` counts as x.y, since y may be a module."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1], *([node.module] if node.module else [])] if node.level else [node.module]
            found |= {".".join([*base, alias.name]) for alias in node.names}
    return found


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", sorted((ROOT / "tiw").rglob("*.py")), ids=lambda p: p.name)
def test_the_library_knows_no_page(path):
    assert not roots(path) & {"gradio", "ui", "plotly"}


@pytest.mark.parametrize("path", [*sorted((ROOT / "ui").rglob("*.py")), ROOT / "app.py"], ids=lambda p: p.name)
def test_the_page_computes_nothing(path):
    assert not roots(path) & {"torch", "torchvision", "sklearn", "scipy", "diffusers", "umap"}


@pytest.mark.parametrize("path", sorted((ROOT / "tiw").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT / "tiw")))
def test_files_import_only_from_above(path):
    room = path.relative_to(ROOT / "tiw").with_suffix("").parts[0]
    if room == "__init__":
        return
    assert room in ORDER, f"give {path.name} a place in the order"
    inside = {name.split(".")[1] for name in imports(path) if name.startswith("tiw.")} - {"__version__"}
    below = {i for i in inside if i != room and (i not in ORDER or ORDER.index(i) > ORDER.index(room)) and (room, i) not in EXCEPTIONS}
    assert not below, f"{path.name} imports {below} from below"


def test_the_reader_of_imports_sees_every_form(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "tiw").mkdir()
    code = "import tiw.ratio\nfrom . import audit\nfrom .noise import perturb\nfrom tiw import debias\ndef f():\n  import torch\n"
    (tmp_path / "tiw" / "x.py").write_text(code)
    assert imports(tmp_path / "tiw" / "x.py") == {"tiw.ratio", "tiw.audit", "tiw.noise.perturb", "tiw.debias", "torch"}


def test_what_the_page_needs_loads_without_torch():
    heavy = "[m for m in ('torch', 'sklearn', 'diffusers', 'umap') if m in sys.modules]"
    code = f"import sys, tiw, tiw.data, tiw.options, tiw.errors, tiw.runs, tiw.jobs, tiw.pictures, ui.page; print({heavy})"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_table_of_contents_is_complete():
    code = "import tiw, tiw.audit, tiw.even_out, tiw.debias, tiw.compare; print([n for n in tiw.__all__ if not callable(getattr(tiw, n))])"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
