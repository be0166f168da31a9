"""What README and docs say is what was measured and what is there."""

import importlib
import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def benchmark(name):
    return importlib.import_module(name)


def test_the_tables_are_the_committed_results():
    for path, text in benchmark("pages").pages():
        assert path.read_text(encoding="utf-8") == text, "run python benchmarks/pages.py"


def test_every_table_between_marks_is_held_to_a_result():
    for name, held in benchmark("pages").tables().items():
        marks = re.findall(r"^<!-- (.+) -->$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert sorted(marks) == sorted([*held, *["end"] * len(held)])


def test_the_measured_results_are_whole():
    module = benchmark("headline")
    rows = json.loads(module.RESULT.read_text(encoding="utf-8"))["rows"]
    assert set(rows) == set(module.NAMES) and all(row["n"] == module.COUNT for row in rows.values())
    assert len(benchmark("interval_coverage").read()["cells"]) == 120


def test_what_the_page_tells_of_the_smallest_group_and_the_meter_is_in_the_committed_results():
    text = " ".join((ROOT / "docs" / "RESULTS.md").read_text(encoding="utf-8").split())
    rows = [of["TIW-DSM"] for of in benchmark("defaults").results().values()]
    smallest = min(min(row["shares"]) for row in rows)
    assert len(rows) == 36 and smallest > 0.125  # half of the 25 % that each group should have
    assert f"none of the 36 draws. The smallest stands at {smallest:.0%}".replace("%", " %") in text
    meter = [row["gap_closed"] for row in rows if row["gap_closed"] is not None]
    assert f"reads {min(meter):.1f} to {max(meter):.1f} and names a group in {sum(bool(row['lagging']) for row in rows)} draw" in text


def test_readme_tells_in_how_many_draws_the_default_is_level():
    page = (ROOT / "docs" / "RESULTS.md").read_text(encoding="utf-8")
    twelve, eight = (f"further by no more than sampling explains | {n} |" for n in ("12 of 12", "28 of 36"))
    assert twelve in page and "in all twelve draws of" in README and eight in page and "ahead in eight of 36 draws" in README


def test_what_the_pages_tell_in_sentences_is_what_was_measured():
    """Guidance draw by draw, what the headline's run was, whether automatic values are good, what an audit and reading take."""
    pages = {
        name: " ".join((ROOT / name).read_text(encoding="utf-8").split()) for name in ("README.md", "docs/RESULTS.md", "docs/IMAGES.md")
    }
    read = {
        name: json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
        for name in ("headline", "demo_loop_quick", "data_scale")
    }
    assert f"This run took {read['headline']['steps']} steps" in pages["README.md"]
    found: dict = {"guidance": {}, "tiw-dsm": {}}
    for row in benchmark("quality").read_rows():
        cell = row["cell"]
        if cell["setting"] == "demo" and cell["seed"] < 100 and cell["method"] in found and cell["minutes"] in (0, 1):
            found[cell["method"]][cell["references"], cell["seed"]] = row["fairness_discrepancy"]
    further = sum(found["guidance"][draw] > found["tiw-dsm"][draw] for draw in found["guidance"])
    assert (further, len(found["guidance"])) == (5, 6) and "in five of six draws" in pages["docs/RESULTS.md"]
    assert "Over six draws of references it is further from the shares than TIW-DSM in five" in pages["README.md"]
    long = {
        (cell["method"], cell["references"], cell["minutes"]): row
        for row in benchmark("figures").at_their_rates(benchmark("quality").read_rows())
        if (cell := row["cell"])["minutes"] >= 5
    }
    behind = {}
    for pair in {key[1:] for key in long}:
        own, alone = (long[(method, *pair)] for method in ("tiw-dsm", "dsm-ref"))
        names = [name for name in ("fairness_discrepancy", "frechet_distance", "closer_to_reference") if own[name] > alone[name]]
        behind[pair] = names + ["recall"] * (own["recall"] < alone["recall"])
    assert len(behind) == 6 and "more variety and fewer copies in all six pairs" in pages["docs/RESULTS.md"]
    shares, images = "fairness_discrepancy", "frechet_distance"
    assert {pair: names for pair, names in behind.items() if names} == {(400, 5.0): [shares, images], (400, 60.0): [images]}
    assert "With 400 references its Frechet distance is higher after five and after sixty minutes" in pages["docs/RESULTS.md"]
    near, recall = ([long[m, 100, 60.0][name] for m in ("dsm-ref", "tiw-dsm")] for name in ("closer_to_reference", "recall"))
    assert f"{100 * near[0]:.0f} % of the samples of the reference alone" in pages["docs/RESULTS.md"]
    assert f"fallen to {recall[0]:.2f}. TIW-DSM stands at {100 * near[1]:.0f} % and {recall[1]:.2f}." in pages["docs/RESULTS.md"]
    hour = [100 * long[method, 400, 60.0]["closer_to_reference"] for method in ("dsm-ref", "tiw-dsm")]
    assert "the reference alone to {:.0f} %, and TIW-DSM to {:.0f} %".format(*hour) in pages["docs/RESULTS.md"]
    auto = benchmark("auto")
    rows = [json.loads(line) for line in auto.RESULTS.read_text().splitlines()]
    for name in {row["cell"]["set"] for row in rows}:
        of = {m: [r["fairness_discrepancy"] for r in rows if (r["cell"]["set"], r["cell"]["method"]) == (name, m)] for m in auto.FIXED}
        assert {len(values) for values in of.values()} == {2}
        assert sum(of["automatic"]) / 2 < min(map(sum, of.values())) / 2 + benchmark("quality").SAMPLING
    assert f"every image scored, takes {read['demo_loop_quick']['audit']['all_maps_seconds']:.0f} s" in pages["docs/RESULTS.md"]
    million = read["data_scale"]["extrapolated"]
    assert 480 < sum(million["seconds"].values()) < 540 and "less than nine minutes" in pages["docs/IMAGES.md"]
    assert f"in {million['peak_gib']:.2f} GiB" in pages["docs/IMAGES.md"]


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
