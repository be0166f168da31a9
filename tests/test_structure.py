"""The rules of the house, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The rooms in the order the data flows, each with its files in their order. A file imports only from what stands above it.
SHARED = ["errors", "streams", "described", "files", "pictures", "choices", "intervals", "sentences", "shares", "toys"]
ROOMS = {
    "data": None,  # its files have an order of their own making
    "model": [
        *("glance", "processes", "device", "torchvision_ops", "networks", "noise", "checkpoint", "opening"),
        *("denoiser", "correction", "memory", "sampling"),
    ],
    "ratio": ["features", "components", "heads", "estimators", "difference", "density_ratio", "diagnostics"],
    "auditing": ["camera", "even_out", "groups", "map", "finding", "verdict", "power", "unlike", "audit"],
    "debiasing": ["baseline_check", "strength", "objectives", "config", "fine_tune", "lagging"],
    "comparing": [
        "attributes",
        "corrected",
        "two_sample",
        "residual",
        "kept_features",
        "encoders",
        "classifier",
        "groups",
        "prompts",
        "plugins",
        "transfer",
        "spot",
        "tables",
        "copying",
        "quality",
        "result",
        "compare",
    ],
    "run": [
        *(
            "names",
            "versions",
            "options",
            "status",
            "folder",
            "budget",
            "forecast",
            "inputs",
            "train_in_folder",
            "report",
            "about",
            "comparison_fields",
            "fields",
            "card",
            "hand_on",
            "spot_check",
            "lineup",
            "comparison",
            "thumbnails",
            "audit_files",
            "stages",
            "make_sets",
            "actions",
            "execute",
            "replay",
        ),
        *("index", "needed", "supervise", "queue"),
    ],
}
ORDER = [*((name,) for name in SHARED), *((room, name) for room, names in ROOMS.items() for name in names or [""]), ("__main__",)]


def place(module: str) -> int | None:
    """Where the module of a name like `tiw.model.noise.perturb` stands; None: not in the house (`tiw.__version__`)."""
    parts = module.split(".")[1:]
    if parts and ROOMS.get(parts[0], 0) is None:
        parts = [parts[0], ""]
    return next((i for i, name in enumerate(ORDER) if tuple(parts[: len(name)]) == name), None)


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
    if path.name == "__init__.py":
        return
    own = place(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert own is not None, f"give {path.name} a place in the order"
    below = {name for name in imports(path) if name.startswith("tiw.") and (place(name) or 0) > own}
    assert not below, f"{path.name} imports {below} from below"


def test_debias_can_be_had_before_anything_else():
    """Beside a CPU build of torch torchvision does not load unprepared: `tiw.debias` failed where no model was open."""
    importing = {path.name for path in (ROOT / "tiw").rglob("*.py") if "diffusers" in roots(path)}
    assert importing == {"networks.py", "checkpoint.py"}, "take it from networks.py, which prepares torchvision first"
    subprocess.run([sys.executable, "-W", "ignore", "-c", "import tiw; tiw.debias"], cwd=ROOT, check=True)


def test_the_reader_of_imports_sees_every_form(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "tiw").mkdir()
    code = "import tiw.ratio\nfrom . import audit\nfrom .noise import perturb\nfrom tiw import debias\ndef f():\n  import torch\n"
    (tmp_path / "tiw" / "x.py").write_text(code)
    assert imports(tmp_path / "tiw" / "x.py") == {"tiw.ratio", "tiw.audit", "tiw.noise.perturb", "tiw.debias", "torch"}


def test_what_the_page_needs_loads_without_torch():
    heavy = "[m for m in ('torch', 'sklearn', 'diffusers', 'umap') if m in sys.modules]"
    code = f"import sys, tiw, tiw.data, tiw.run.options, tiw.errors, tiw.run.folder, tiw.run.queue, tiw.pictures, ui.page; print({heavy})"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_table_of_contents_is_complete():
    code = "import tiw; print([n for n in tiw.__all__ if not callable(getattr(tiw, n))])"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def public(path: Path) -> list[tuple[str, ast.AST, str]]:
    """(name, node, docstring) of the public functions, classes and methods of a file; a property's name says enough."""
    found = []
    for node in ast.parse(path.read_text()).body:
        members = [node, *(node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else [])]
        for member in members:
            named = isinstance(member, ast.FunctionDef | ast.ClassDef) and not member.name.startswith("_")
            if named and not any("property" in ast.unparse(how) for how in member.decorator_list):
                found.append((member.name, member, ast.get_docstring(member) or ""))
    return found


def test_everything_public_says_what_it_does():
    """A method may leave that to another class's of the same name, which it stands in for."""
    everything = {path: public(path) for path in sorted((ROOT / "tiw").rglob("*.py"))}
    told = {name for names in everything.values() for name, _, said in names if said}
    silent = [f"{path.name}: {name}" for path, names in everything.items() for name, _, said in names if not said and name not in told]
    assert not silent
    assert all(ast.get_docstring(ast.parse(path.read_text())) for path in everything)


def told_with(path: Path) -> list[tuple[str, ast.FunctionDef, str]]:
    """(name, node, its docstring with its class's) of public functions and methods, calls too."""
    found = []
    for node in ast.parse(path.read_text()).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        of_class = (ast.get_docstring(node) or "") if isinstance(node, ast.ClassDef) else ""
        for member in members:
            if not isinstance(member, ast.FunctionDef) or (isinstance(node, ast.ClassDef) and node.name.startswith("_")):
                continue
            shown = not member.name.startswith("_") or member.name == "__call__"
            if shown and not any("property" in ast.unparse(how) for how in member.decorator_list):
                found.append((member.name, member, f"{ast.get_docstring(member) or ''} {of_class}"))
    return found


def raises_users_errors(node: ast.FunctionDef) -> bool:
    return any(isinstance(n, ast.Raise) and n.exc is not None and "UserInputError" in ast.unparse(n.exc) for n in ast.walk(node))


def has_arrays(node: ast.FunctionDef) -> bool:
    annotated = [a.annotation for a in (*node.args.args, *node.args.kwonlyargs)] + [node.returns]
    words = [ast.unparse(a) for a in annotated if a is not None]
    return any(("Tensor" in word or "ndarray" in word) and "Callable" not in word for word in words)


@pytest.mark.parametrize("path", sorted((ROOT / "tiw").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT / "tiw")))
def test_docstrings_tell_of_shapes_and_of_errors(path):
    """What a user can do wrong is named, and arrays have their shape, as in [B,C,H,W]."""
    unsaid = [f"{name} raises" for name, node, said in told_with(path) if raises_users_errors(node) and "aise" not in said]
    unsaid += [f"{name}: a shape" for name, node, said in told_with(path) if has_arrays(node) and "[" not in said]
    assert not unsaid


def test_the_lint_of_docstrings_sees_what_is_missing(tmp_path):
    (tmp_path / "x.py").write_text(
        "def f(x: Tensor):\n    'Twice x.'\n    raise UserInputError('x', 'y', 'z')\nclass C:\n    'Of x [N].'\n"
        "    def g(self, x: Tensor): 'Raises UserInputError.'\n    def _h(self, x: Tensor): raise UserInputError\n"
    )
    found = told_with(tmp_path / "x.py")
    assert [name for name, _, _ in found] == ["f", "g"]
    assert [(raises_users_errors(node), has_arrays(node)) for _, node, _ in found] == [(True, True), (False, True)]
    assert "[" not in found[0][2] and "[N]" in found[1][2]
