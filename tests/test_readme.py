"""What README and docs say is what was measured and what is there."""

import importlib.util
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def headline():
    return benchmark("headline")


def benchmark(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_the_committed_result():
    module = headline()
    result = json.loads(module.RESULT.read_text(encoding="utf-8"))
    assert README.split(module.MARKS[0])[1].split(module.MARKS[1])[0].strip() == module.table(result)
    assert set(result["rows"]) == set(module.NAMES) and all(row["n"] == module.COUNT for row in result["rows"].values())


def test_the_table_of_a_comparisons_cost_is_the_committed_result():
    text = (ROOT / "docs" / "RESULTS.md").read_text(encoding="utf-8")
    assert text.split("<!-- compare -->")[1].split("<!-- end -->")[0].strip() == benchmark("compare").table()


def test_the_tables_of_the_loop_and_of_a_step_are_the_committed_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    text = (ROOT / "docs" / "RESULTS.md").read_text(encoding="utf-8")
    takes, ends = benchmark("demo_loop").tables()
    for mark, table in (("loop", takes), ("loop ends", ends), ("step", benchmark("step").table())):
        assert text.split(f"<!-- {mark} -->")[1].split("<!-- end -->")[0].strip() == table


def test_the_tables_of_the_made_sets_are_the_committed_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    text = (ROOT / "docs" / "RESULTS.md").read_text(encoding="utf-8")
    assert text.split("<!-- defaults -->")[1].split("<!-- end -->")[0].strip() == benchmark("defaults").table()
    assert text.split("<!-- summary -->")[1].split("<!-- end -->")[0].strip() == benchmark("defaults").summary()
    assert text.split("<!-- large images -->")[1].split("<!-- end -->")[0].strip() == benchmark("large_images").table()
    assert text.split("<!-- imperfect -->")[1].split("<!-- end -->")[0].strip() == benchmark("imperfect").table()
    assert text.split("<!-- own images -->")[1].split("<!-- end -->")[0].strip() == benchmark("own_images").table()


def test_what_the_page_tells_of_the_smallest_group_and_the_meter_is_in_the_committed_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    text = " ".join((ROOT / "docs" / "RESULTS.md").read_text(encoding="utf-8").split())
    rows = [of["TIW-DSM"] for of in benchmark("defaults").results().values()]
    smallest = min(min(row["shares"]) for row in rows)
    assert len(rows) == 36 and smallest > 0.125  # half of the 25 % that each group should have
    assert f"none of the 36 draws. The smallest stands at {smallest:.0%}".replace("%", " %") in text
    meter = [row["gap_closed"] for row in rows if row["gap_closed"] is not None]
    assert f"reads {min(meter):.1f} to {max(meter):.1f} and names a group in {sum(bool(row['lagging']) for row in rows)} draw" in text


def test_the_tables_of_the_methods_are_the_committed_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    page = (ROOT / "docs" / "RESULTS.md").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in (ROOT / "benchmarks" / "results" / "quality.jsonl").read_text(encoding="utf-8").splitlines()]
    assert benchmark("figures").with_tables(page, rows) == page
    twelve, eight = (f"further by no more than sampling explains | {n} |" for n in ("12 of 12", "28 of 36"))
    assert twelve in page and "in all twelve draws of" in README and eight in page and "ahead in eight of 36 draws" in README


def test_the_tables_of_the_comparison_are_the_committed_results():
    page = (ROOT / "docs" / "RESULTS.md").read_text(encoding="utf-8")
    for name, result, marks in (
        ("interval_coverage", "coverage", {"coverage": "table", "outside": "table_outside"}),
        ("residual", "residual", {"residual": "table"}),
        ("probe", "probe", {"probe": "table"}),
    ):
        found = json.loads((ROOT / "benchmarks" / "results" / f"{result}.json").read_text(encoding="utf-8"))
        for mark, function in marks.items():
            shown = page.split(f"<!-- {mark} -->")[1].split("<!-- end -->")[0].strip()
            assert shown == getattr(benchmark(name), function)(found), f"run benchmarks/{name}.py"
    assert len(json.loads((ROOT / "benchmarks" / "results" / "coverage.json").read_text())["cells"]) == 120


def test_links_and_pictures_lead_somewhere():
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} points at {target}"


def test_the_page_of_commands_describes_the_options_as_they_are():
    spec = importlib.util.spec_from_file_location("commands", ROOT / "docs" / "commands.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run python docs/commands.py"


def test_every_room_and_shared_file_is_in_the_tree():
    tree = README.split("## The code, in the order the data flows")[1].split("## ")[0]
    for path in (ROOT / "tiw").iterdir():
        if path.name not in ("__init__.py", "__pycache__"):
            assert f"tiw/{path.name}{'/' if path.is_dir() else ''}" in tree, f"README's tree lacks {path.name}"
