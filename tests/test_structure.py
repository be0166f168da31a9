"""The rules of the house, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = [
    *("errors", "options", "toys", "data", "noise", "torchvision_ops", "networks", "denoiser", "device", "pictures", "objectives"),
    *("sampling", "ratio", "attributes", "diagnostics", "audit", "embedding", "strength", "debias", "quality", "compare"),
    *("runs", "training", "commands", "jobs", "__main__"),
]


def imports(path: Path) -> set[str]:
    """Every module a file imports, at any depth; relative ones as `.name`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found |= {base} if node.module else {f"{base}{alias.name}" for alias in node.names}
    return found


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path) if not name.startswith(".")}


@pytest.mark.parametrize("path", sorted((ROOT / "tiw").rglob("*.py")), ids=lambda p: p.name)
def test_the_library_knows_no_page(path):
    assert not roots(path) & {"gradio", "ui", "plotly"}


@pytest.mark.parametrize("path", [*sorted((ROOT / "ui").rglob("*.py")), ROOT / "app.py"], ids=lambda p: p.name)
def test_the_page_computes_nothing(path):
    assert not roots(path) & {"torch", "sklearn", "scipy", "diffusers", "umap"}


@pytest.mark.parametrize("path", sorted((ROOT / "tiw").glob("*.py")), ids=lambda p: p.stem)
def test_files_import_only_from_above(path):
    if path.stem == "__init__":
        return
    assert path.stem in ORDER, f"give {path.name} a place in the order"
    above = set(ORDER[: ORDER.index(path.stem)])
    inside = {name.lstrip(".").split(".")[0] for name in imports(path) if name.startswith(".")} - {"__version__"}
    assert inside <= above, f"{path.name} imports {inside - above} from below"


def test_what_the_page_needs_loads_without_torch():
    heavy = "[m for m in ('torch', 'sklearn', 'diffusers', 'umap') if m in sys.modules]"
    code = f"import sys, tiw, tiw.data, tiw.options, tiw.runs, tiw.jobs, tiw.pictures; print({heavy})"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_table_of_contents_is_complete():
    code = "import tiw, tiw.audit, tiw.debias, tiw.compare; print([n for n in tiw.__all__ if not callable(getattr(tiw, n))])"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
