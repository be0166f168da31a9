"""The report to hand on, from runs of known results: complete, escaped, small, and the same from the command."""

import html
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pandas as pd
import pytest
from conftest import blobs
from typer.testing import CliRunner

from tiw.__main__ import app
from tiw.comparing.classifier import fit_attribute_classifier
from tiw.comparing.compare import measure
from tiw.data import ImageSet
from tiw.errors import UserInputError
from tiw.files import write_atomic
from tiw.run import card, fields, hand_on, names, report
from tiw.run.about import ABOUT, kept, read_about
from tiw.run.comparison_fields import as_perceived
from tiw.run.folder import RunFolder
from tiw.run.options import CompareOptions, DebiasOptions
from tiw.run.replay import differences, replay
from ui import stated

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "report.schema.json").read_text())
EVIL = "<script>alert(1)</script>"


def labelled(n, share, seed):
    images = blobs(n, share, seed)
    names_ = images.attributes["light"].map({"bright": EVIL, "dark": "=1+1"})
    return ImageSet(images.images, pd.DataFrame({"<b>light</b>": names_}), f"{EVIL}.zip")


@pytest.fixture(scope="module")
def run_folders(tmp_path_factory):
    """A debias and a compare run as their actions leave them, of images whose labels are hostile."""
    home = tmp_path_factory.mktemp("runs")
    debias = RunFolder.create(home / "debias", "debias", DebiasOptions())
    gap = {"value": 0.9, "interval": (0.8, 1.0)}
    debias.write_result({"objective": "tiw-dsm", "strength": 1.0, "steps": 100, "gap_closed": gap})
    (debias.path / names.MODEL).mkdir()
    compare = RunFolder.create(home / "compare", "compare", CompareOptions(debiased=str(debias.path / names.MODEL)))
    classifier = fit_attribute_classifier(labelled(300, 0.5, 0))
    baseline, debiased, reference = labelled(200, 0.1, 1), labelled(200, 0.45, 2), labelled(80, 0.5, 3)
    found = measure(baseline.images, debiased.images, reference, classifier, labelled(150, 0.5, 4), biased=labelled(200, 0.1, 5))
    compare.write_result({**found.to_json(), "sets": {"reference": reference.about()}, "versions": {"torch": "2"}})
    np.savez(compare.path / names.SAMPLES, seeds=np.arange(200), baseline=baseline.images, debiased=debiased.images)
    np.savez(compare.path / names.EXAMPLES, surest_samples=debiased.images[:12], nearest_samples=debiased.images[:12])
    return debias, compare


@pytest.fixture(scope="module")
def written(run_folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    about = {"purpose": "Portraits for a textbook", "licence": EVIL}
    return out, hand_on.write_report(out, hand_on.collect([run_folders[1].path]), about)


def test_it_has_the_fifteen_fields_and_says_what_is_not_stated(written):
    out, report = written
    page = (out / names.REPORT).read_text()
    headings = re.findall(r"<h2>(\d+) ", page)
    assert headings == [str(k) for k in range(1, 16)]
    assert html.escape(report.findings.finding) in page and "What the model is for. Portraits for a textbook" in page
    assert "Intended use. Not stated." in page and report.hash in page and "tiw-dsm" in page
    counted = r"from 0\.\d+ \[.*\] to 0\.\d+ \[.*\], counted on 200 samples of each model and corrected"
    assert re.search(counted, report.findings.finding)
    assert "Glossary" in page and page.count("data:image/webp") == 4


def test_a_report_and_a_card_are_of_the_model_that_was_compared(run_folders, tmp_path):
    """That of the raw weights took the place of the model's own card, and of a kept model it said that nothing was changed in it."""
    shutil.copytree(run_folders[0].path, tmp_path / "debias")
    for place in (names.MODEL, names.RAW, f"{names.KEPT}/000100"):
        model = tmp_path / "debias" / place
        model.mkdir(parents=True, exist_ok=True)
        run = RunFolder.create(tmp_path / place.replace("/", "-"), "compare", CompareOptions(debiased=str(model)))
        run.write_result(run_folders[1].result() | {"n": 200})
        made = hand_on.write_report(run.path, hand_on.collect([run.path]))
        assert "debias" in made.results and not any("Nothing was changed" in text for text in made.findings.fields[12].texts)
        assert made.hash in (model / "README.md").read_text()
        if place == names.MODEL:
            own = (model / "README.md").read_text()
    assert (tmp_path / "debias" / names.MODEL / "README.md").read_text() == own


def test_what_was_said_of_a_model_stands_in_its_next_report_too(run_folders, tmp_path):
    """A replay of the comparison wrote a card in which nothing was stated."""
    shutil.copytree(run_folders[0].path, tmp_path / "debias")
    model = tmp_path / "debias" / names.MODEL
    for name, said in (("first", {"licence": "CC BY 4.0"}), ("again", None)):
        run = RunFolder.create(tmp_path / name, "compare", CompareOptions(debiased=str(model)))
        run.write_result(run_folders[1].result())
        hand_on.write_report(run.path, hand_on.collect([run.path]), said)
        assert "license_name: CC BY 4.0" in (model / "README.md").read_text()


def test_it_is_one_small_file_that_loads_nothing(written):
    page = (written[0] / names.REPORT).read_text()
    assert len(page.encode()) < 3 << 20
    assert not re.search(r'(src|href)="(?!data:)', page) and "url(" not in page and "@import" not in page


def test_only_words_that_no_column_holds_are_broken():
    """On paper “500” had stood in two lines, “referenc” and “e” too."""
    made = report.page("x", report.Block("y", head=["a", "b"], rows=[["500", ""], ["a" * 64, "one two " * 9]]))
    assert made.count('class="long"') == 1 and f'class="long">{"a" * 64}' in made


def test_hostile_labels_stay_text(written):
    out, _ = written
    page = (out / names.REPORT).read_text()
    assert EVIL not in page and "<b>light</b>" not in page and "&lt;script&gt;" in page
    tables = [(out / name).read_text() for name in sorted(p.name for p in out.glob("report-*.csv"))]
    assert tables and not any(re.search(r'(^|,)"?=1', line) for text in tables for line in text.splitlines())


def test_report_json_is_what_its_schema_says_and_carries_every_number(written, run_folders):
    report = json.loads((written[0] / names.REPORT_JSON).read_text())
    jsonschema.validate(report, SCHEMA)
    assert report["results"]["compare"] == run_folders[1].result() and report["results"]["debias"]["steps"] == 100
    broken = json.loads(json.dumps(report))
    broken["results"]["compare"]["residual"]["verdict"] = "fair"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMA)


def test_gender_never_stands_without_who_perceives_it():
    """In the report's own sentences and tables; the numbers' file keeps the name that the labels have."""
    rows = [
        {"attribute": name, "set": "debiased", "value": "a"}
        for name in ("gender", "Male x hair", "hair", "gender as perceived by X", "sexy")
    ]
    shown = as_perceived({"shares": rows, "fairness_discrepancy": {"of": "hair x sex"}, "values": ["gender"]})
    by = "(perceived by the classifier)"
    assert [row["attribute"] for row in shown["shares"]] == [
        f"gender {by}",
        f"Male {by} x hair",
        "hair",
        "gender as perceived by X",
        "sexy",
    ]
    assert shown["fairness_discrepancy"]["of"] == f"hair x sex {by}" and shown["values"] == ["gender"] and rows[0]["attribute"] == "gender"
    value = {"value": 0.1, "interval": [0.05, 0.2]}
    compare = {"n": 100, "shares": [], "fairness_discrepancy": {"baseline": value, "debiased": value, "of": "gender"}}
    assert f"shares of gender {by} from the target" in fields.findings({"compare": compare}, {}, {}, []).finding


def test_every_number_of_every_run_is_in_one_table_unrounded(written):
    """Cells of the other tables are text with one digit; a spreadsheet wants the number."""
    table = pd.read_csv(written[0] / names.REPORT_NUMBERS)
    result = written[1].results["compare"]
    row = next(r for r in result["shares"] if r["set"] == "debiased")
    name = f"shares[debiased, {row['attribute']}, {row['value']}].corrected.interval[1]"
    assert table[table["number"] == name]["value"].item() == row["corrected"]["interval"][1]
    assert set(table["run"]) == {"debias", "compare"}
    auc = table[(table["run"] == "compare") & (table["number"] == "residual.debiased.auc")]["value"].item()
    assert auc == result["residual"]["debiased"]["auc"]


def test_worst_comes_first_and_flags_are_explained(written):
    table = written[1].findings.fields[8].table
    result = written[1].results["compare"]
    far = [abs(row["corrected"]["value"]) for row in result["differences"] if row["from"] == "target"]
    first = next(r for r in result["differences"] if r["from"] == "target" and [r["attribute"], r["value"]] == table.rows[0][:2])
    assert abs(first["corrected"]["value"]) == max(far)
    assert written[1].findings.fields[8].title == "Shares and differences"


def test_the_hash_is_that_of_inputs_and_versions(run_folders, monkeypatch):
    runs = hand_on.collect([run_folders[1].path])
    one, two, other = (hand_on.make_report(runs, {"purpose": p}).hash for p in ("a", "a", "b"))
    assert one == two != other
    monkeypatch.setattr(hand_on, "package_versions", lambda: {"tiw-studio": "9"})
    assert hand_on.make_report(runs, {"purpose": "a"}).hash != one


def test_without_images_and_from_the_command(run_folders, tmp_path):
    (tmp_path / "about.toml").write_text('reference_chosen_by = "The editors"\n')
    given = ["report", str(run_folders[1].path), "--about", str(tmp_path / "about.toml"), "--out", str(tmp_path / "out"), "--no-images"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / names.REPORT).read_text()
    assert "The editors" in page and "<img" not in page
    written_card = (run_folders[0].path / names.MODEL / card.CARD).read_text()
    assert written_card.startswith("---\n") and "library_name: diffusers" in written_card and EVIL not in written_card
    assert "\n# Debiased model\n" in written_card  # it had been the folder's name, a run's id
    run_folders[0].describe(EVIL)
    hand_on.write_report(tmp_path / "out", hand_on.collect([run_folders[1].path]))
    assert "\n# &lt;script" in (run_folders[0].path / names.MODEL / card.CARD).read_text()


def test_what_was_said_once_is_said_again(run_folders, tmp_path):
    """A report made again, after a spot check for instance, had forgotten it, and showed the images that it was to leave out."""
    debias, compare = run_folders
    hand_on.write_report(tmp_path, hand_on.collect([compare.path]), {"purpose": "A textbook"}, images=False)
    for _ in range(2):
        hand_on.write_report(tmp_path, hand_on.collect([compare.path]))
        page = (tmp_path / names.REPORT).read_text()
        assert "A textbook" in page and "data:image" not in page
        assert "A textbook" in (debias.path / names.MODEL / card.CARD).read_text()
    hand_on.write_report(tmp_path, hand_on.collect([compare.path]), {}, images=True)
    page = (tmp_path / names.REPORT).read_text()
    assert "A textbook" not in page and "data:image" in page
    (tmp_path / names.STATED).write_text('{"about": {"purpose": 3, "unknown": 4}}')
    assert kept(tmp_path) == ({}, True)  # damaged: as if nothing had been said


def test_the_page_asks_for_what_only_the_user_knows(run_folders, monkeypatch):
    compare = run_folders[1]
    run = SimpleNamespace(id="r", path=compare.path, shipped=False, done=True, kind="compare")
    monkeypatch.setattr(stated.store, "own", lambda run_id: SimpleNamespace(folder=compare))
    asked = stated.state(run)
    assert [key for key, *_ in asked["fields"]] == list(ABOUT) and asked["images"]
    found = stated.answer(run, {"about": {"purpose": EVIL, "auditor": " "}, "images": False})
    assert dict((key, said) for key, _, said in found["fields"])["purpose"] == EVIL and not found["images"]
    page = (compare.path / names.REPORT).read_text()
    assert html.escape(EVIL) in page and EVIL not in page
    for body in (None, {"about": {"purpose": 1}, "images": True}, {"about": {"x": ""}, "images": True}, {"about": {}, "images": "yes"}):
        with pytest.raises(UserInputError):
            stated.answer(run, body)
    with pytest.raises(UserInputError, match="at most 2,000"):
        stated.answer(run, {"about": {"purpose": "x" * 2001}, "images": True})
    with pytest.raises(UserInputError):
        stated.answer(SimpleNamespace(shipped=True, done=True, kind="compare"), {"about": {}, "images": True})
    (compare.path / names.STATED).unlink()


@pytest.mark.parametrize(
    ("text", "words"), [("purpose = [", "cannot be read"), ('porpoise = "x"', "has the key 'porpoise'"), (None, "cannot be read")]
)
def test_a_wrong_about_file_is_a_sentence(tmp_path, text, words):
    if text is not None:
        (tmp_path / "about.toml").write_text(text)
    with pytest.raises(UserInputError, match=words):
        read_about(tmp_path / "about.toml")


def test_runs_that_make_no_report_are_refused(run_folders, tmp_path):
    with pytest.raises(UserInputError, match="no result yet"):
        hand_on.collect([RunFolder.create(tmp_path / "new", "compare", CompareOptions(debiased="x")).path])
    second = RunFolder.create(tmp_path / "second", "compare", CompareOptions(debiased="x"))
    second.write_result({})
    with pytest.raises(UserInputError, match="two runs of compare"):
        hand_on.collect([run_folders[1].path, second.path])
    with pytest.raises(UserInputError, match="readable"):
        hand_on.collect([tmp_path / "nowhere"])


def test_an_audit_alone_makes_a_report():
    found = fields.findings({"audit": {"verdict": {"sentence": "The sets differ."}}}, {}, {}, [])
    assert found.finding == "The sets differ." and len(found.fields) == 15


def test_a_replay_says_what_differs(tmp_path):
    run = RunFolder.create(tmp_path / "run", "debias", DebiasOptions())
    run.write_result({"steps": 3, "loss": [0.5, 0.25], "versions": {"torch": "1", "numpy": "2"}, "training_seconds": 9})
    (run.path / names.BUDGET).write_text("{}")

    def execute(again):
        assert (again.path / names.BUDGET).is_file() and again.options == run.options
        again.write_result({"steps": 3, "loss": [0.5, 0.26], "versions": {"torch": "1", "numpy": "3"}, "training_seconds": 2})
        return 0

    found = replay(run, tmp_path / "again", execute)
    assert found.different == ("loss[1] was 0.25, is 0.26",) and found.versions == ("numpy 2 then, 3 now",)
    assert found.sentence == "1 number differs. Versions that differ: numpy 2 then, 3 now."
    assert differences({"a": 1.0}, {"a": 1.0 + 1e-12}) == [] and differences([1], [1, 2]) == [" was [1], is [1, 2]"]
    with pytest.raises(UserInputError, match="failed this time"):
        replay(run, tmp_path / "third", lambda again: 1)


def test_a_replay_elsewhere_or_of_an_old_run_says_so(tmp_path):
    old = RunFolder.create(tmp_path / "old", "debias", DebiasOptions())
    write_atomic(old.path / names.RESULT, b'{"schema_version": 1, "kind": "debias", "steps": 3, "machine": "an abacus"}')

    def execute(again):
        again.write_result({"steps": 3})
        return 0

    found = replay(old, tmp_path / "again", execute)
    assert found.versions is None and found.machine == "an abacus"
    said = "The numbers are the same. The first run has not said its versions. The first run was on another machine (an abacus)"
    assert found.sentence.startswith(said)
    assert replay(found_run(found.path), tmp_path / "third", execute).sentence == "The numbers are the same. The versions are the same."


def found_run(path):
    return RunFolder.open(path)


def test_the_design_the_machine_and_the_weights_stand_in_the_report():
    """What field 8 and 15 ask for; a group that is painted worse is flagged, and the distances stand with their floor."""
    value = {"value": 0.1, "interval": [0.05, 0.2]}
    three = {"baseline": value, "debiased": value, "floor": value, "of": "hair"}
    near, far = ({"value": v, "interval": [v - 0.1, v + 0.1]} for v in (0.2, 0.9))
    groups = [{"group": name, "n": 50, "counts": {}, "baseline": near, "debiased": d} for name, d in (("long", far), ("short", near))]
    used = {"seed": 5, "solver": "heun", "sampling_steps": 9}
    compare = {"n": 100, "used": used, "weights": {"debiased": "abc"}, "machine": "an abacus", "versions": {"torch": "1"}, "shares": []}
    compare |= {
        "fairness_discrepancy": three,
        "kernel_distance": {**three, "n": 9, "encoder": "e"},
        "frechet_distance": three,
        "groups": groups,
    }
    found = fields.findings({"compare": compare}, {}, {"torch": "2"}, [], "a loom")
    text = {f.number: " ".join(f.texts) for f in found.fields}
    assert "Seeds 5 to 104, sampler heun with 9 steps." in text[8]
    assert "computed on an abacus" in text[15] and "debiased model: SHA-256 abc" in text[15] and "made on a loom" in text[15]
    assert found.fields[14].table.head[-1] == "At the time of compare" and found.fields[14].table.rows == [["torch", "2", "1"]]
    assert "Discrepancy of hair, raw: baseline 0.100" in text[9] and "the target itself would give 0.100" in text[9]
    assert [flag for flag in found.fields[10].flags if "worse" in flag] == [
        "The debiased model paints long worse than the baseline does. Its kernel distance rose from 0.2 [0.1, 0.3] to 0.9 [0.8, 1]."
    ]
    assert re.search(r"made on \d{4}-\d\d-\d\d", text[2])


def test_nothing_is_pushed_without_a_card_or_a_yes(tmp_path):
    with pytest.raises(UserInputError, match="no model card"):
        card.push(tmp_path, "me/model")
    assert CliRunner().invoke(app, ["push", str(tmp_path), "--to", "me/model"], input="n\n").exit_code == 1
