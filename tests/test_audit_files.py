"""An audit's files: labels of any name, cells that no spreadsheet runs, thumbnails that outlive the images and are of this set."""

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import blobs
from test_audit import Ratio, images

from tiw.auditing.audit import audit
from tiw.data import ImageSet
from tiw.files import as_csv, harmless
from tiw.ratio.density_ratio import fit_density_ratio
from tiw.ratio.features import PixelEncoder, RatioConfig
from tiw.run import audit_files
from tiw.run.audit_files import for_people, score_rest, write_audit
from tiw.run.folder import RunFolder, Stopped
from tiw.run.options import AuditOptions
from tiw.run.thumbnails import Thumbnails, write_thumbnails

TAKEN = ("set", "index", "item", "log_ratio_0", "images", "file", "row", "source", "group", "a", "b", "a x b", "=1+1", "attribute", "value")


@pytest.fixture
def audited(tmp_path):
    biased, reference = images(400, 0.8, "biased"), images(100, 0.5, "reference")
    for s in (biased, reference):
        for name in TAKEN:
            s.attributes[name] = np.where(s.attributes["kind"] == "a", "@yes", "-1")
    ratio = Ratio(biased, reference)
    ratio.about |= {"cross_entropy": {"exact": 0.6}}
    run = RunFolder.create(tmp_path / "run", "audit", AuditOptions(baseline="none"))
    write_audit(run, audit(biased, reference, ratio))
    return run, biased, reference


def test_a_label_may_have_any_name(audited):
    run, *_ = audited
    scores = pd.read_parquet(run.path / "scores.parquet")
    assert scores.columns.is_unique and scores["item"].is_monotonic_increasing and set(scores["set"]) == {"biased", "reference"}
    for name in TAKEN:
        assert set(scores[f"label: {name}"]) == {"@yes", "-1"}
    shares = run.result()["shares"]
    assert {s["attribute"] for s in shares} == {"kind", *TAKEN}  # too many to cross: none overwrites another
    assert run.result()["finding"]["too_rare"][0]["biased"]["n"] == 400


def test_every_row_says_which_image_it_is_and_at_which_noise_level(audited):
    run, *_ = audited
    rows = list(csv.DictReader(io.StringIO((run.path / "scores.csv").read_text())))
    assert list(rows[0])[:6] == ["item", "set", "row", "file", "log_ratio_at_0.1", "log_ratio_at_1"]
    assert (rows[1]["item"], rows[1]["row"], rows[1]["file"]) == ("2", "2", "row 2")
    shares = list(csv.DictReader(io.StringIO((run.path / "shares.csv").read_text())))
    (a,) = [s for s in shares if (s["attribute"], s["value"], s["set"]) == ("kind", "a", "biased")]
    assert (a["count"], a["n"]) == ("320", "400") and float(a["share_low"]) < 0.8 < float(a["share_high"])


def test_every_image_has_one_row_however_often_the_rest_is_scored(tmp_path, monkeypatch):
    """The last stage of an audit in slices is begun again where it was cut short; the rest then stood in scores.csv twice."""
    biased, reference = blobs(60, 0.2, 0), blobs(20, 0.6, 1)
    config = RatioConfig(sigmas=(0.5, 2.0), folds=2, components=4, biased_images=25, reference_draws=1)
    run = RunFolder.create(tmp_path / "run", "audit", AuditOptions(baseline="none"))
    ratio = fit_density_ratio(biased, reference, PixelEncoder(), config)
    write_audit(run, audit(biased, reference, ratio))
    before = (run.path / "scores.csv").read_bytes()
    monkeypatch.setattr(audit_files, "CSV_ROWS", 10)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(audit_files, "write_thumbnails", lambda *_: (_ for _ in ()).throw(Stopped))
        score_rest(run, biased, reference, ratio, 0)
    score_rest(run, biased, reference, ratio, 0)
    rows = pd.read_csv(run.path / "scores.csv")
    assert sorted(rows["item"]) == list(range(80)) and (run.path / "scores.csv").read_bytes().startswith(before)
    rest = pd.read_parquet(run.path / "rest.parquet").set_index("item")
    said = rows[45:].set_index("item").loc[rest.index]
    np.testing.assert_allclose(said["log_ratio_at_0.5"], rest["log_ratio_0"], rtol=1e-5)
    assert said["label: light"].tolist() == rest["label: light"].tolist()


def test_no_cell_of_any_table_is_a_formula_and_numbers_stay_numbers(audited):
    run, *_ = audited
    for path in run.path.glob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text())):
            for cell in row:
                assert not cell.startswith(("=", "+", "@")) and (not cell.startswith("-") or float(cell) <= 0), (path.name, cell)
    head = (run.path / "scores.csv").read_text().splitlines()[0]
    assert "label: =1+1" in head  # behind our own words, no formula
    assert pd.read_csv(run.path / "scores.csv")["log_ratio_at_0.1"].dtype == float


def test_what_was_left_out_and_every_pictures_files_are_in_the_report_and_a_table(tmp_path):
    biased, reference = images(400, 0.8, "biased"), images(100, 0.5, "reference")
    biased = replace(biased, skipped=("=odd.heic (format: cannot be read)",), sources=np.array([f"a/{k} <i>.png" for k in range(400)]))
    ratio = Ratio(biased, reference)
    ratio.about |= {"cross_entropy": {"exact": 0.6}}
    run = RunFolder.create(tmp_path / "run", "audit", AuditOptions(baseline="none"))
    write_audit(run, audit(biased, reference, ratio))
    rows = list(csv.DictReader(io.StringIO((run.path / "left_out.csv").read_text())))
    assert rows == [{"set": "biased", "file": "'=odd.heic (format: cannot be read)"}]
    page, most = (run.path / "report.html").read_text(), run.result()["over_represented"]
    assert "Files left out: 1 of the large set, 0 of the reference set." in page and "=odd.heic" in page
    listed = "".join(f"<li>a/{item} &lt;i&gt;.png</li>" for item in most)
    assert listed in page and page.count("Their files") == page.count("<img")


def test_harmless_text():
    table = pd.DataFrame({"=x": ["=1+1", "-1", " +2.5e3", "\t=a", "fine", None], "n": [-1.5, 2, 3, 4, 5, np.nan]})
    lines = list(csv.reader(io.StringIO(as_csv(table).decode())))
    assert lines[0] == ["'=x", "n"]
    assert [line[0] for line in lines[1:]] == ["'=1+1", "-1", " +2.5e3", "'\t'=a", "fine", ""]
    assert [line[1] for line in lines[1:]] == ["-1.5", "2.0", "3.0", "4.0", "5.0", ""]
    assert harmless("@cmd") == "'@cmd" and harmless(-3) == -3 and harmless("-") == "'-"
    assert harmless("-2+3+cmd|' /C calc'!A0") == "'-2+3+cmd|' /C calc'!A0" and harmless("＝1+1") == "'＝1+1"
    assert as_csv(table, head=False).decode() == as_csv(table).decode().split("\n", 1)[1]


@pytest.mark.parametrize("text", ["a;=1+1", 'a;"=1+1"', "a\t=1+1", "a; @b", "a\n=1", ";-2+3+cmd|' /C calc'!A0", "a;+1;=2"])
def test_no_cell_is_a_formula_where_a_spreadsheet_splits_lines_at_semicolons(text):
    """Half of Europe's do: what is one cell here is two there, and the quotes around it are none in the middle of a cell."""
    head, line = as_csv(pd.DataFrame({text: ["x", text]})).decode().split("\n", 1)
    for cell in re.split(r"[;\t\n]", f"{head};{line}"):
        assert not cell.strip(' "').startswith(("=", "+", "-", "@")), cell


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_pages_own_tables_follow_the_same_rule_and_are_read_back():
    texts = ["=1", "-1", "-1.5e-3", "-2+3+cmd|' /C calc'!A0", "a;=1", 'a;"@b"', " +x", "fine;-", "＝1", "it's", "1-2", "a\n-b"]
    source = (Path(__file__).parents[1] / "assets" / "app" / "csv.js").read_text()
    script = f"{source}; const t = {json.dumps(texts)}; console.log(JSON.stringify([t.map(harmless), t.map(harmless).map(as_written)]))"
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[harmless(text) for text in texts], texts]


def test_thumbnails_are_those_of_the_items_and_grow(tmp_path):
    biased, reference = blobs(30, 0.5, 0), blobs(12, 0.5, 1)
    first = write_thumbnails(tmp_path, biased, reference, np.array([4, 35, 4, 0]))
    assert first.items == (4, 35, 0) and first.side == 16
    before = (tmp_path / first.sheets[0]).read_bytes()
    grown = write_thumbnails(tmp_path, biased, reference, np.arange(42))
    assert grown.items[:3] == (4, 35, 0) and sorted(grown.items) == list(range(42)) and grown.sheets == first.sheets
    assert (tmp_path / first.sheets[0]).read_bytes() != before
    found = Thumbnails.read(tmp_path).images(tmp_path, [35, 0, 99])
    assert len(found) == 2  # 99 has none
    for image, truth in zip(found, (reference.images[5], biased.images[0]), strict=True):
        assert abs(image.mean() - truth.mean()) < 4 and image.shape == (16, 16, 3)


def test_large_images_become_small_and_many_take_several_sheets(tmp_path, monkeypatch):
    monkeypatch.setattr("tiw.run.thumbnails.A_SHEET", 10)
    large = np.repeat(np.repeat(blobs(25, 0.5, 0).images, 8, 1), 8, 2)
    kept = write_thumbnails(tmp_path, ImageSet(large), blobs(4, 0.5, 1).resized(128), np.arange(29))
    assert kept.side == 64 and len(kept.sheets) == 3 and all((tmp_path / name).is_file() for name in kept.sheets)
    shown = kept.images(tmp_path, [17])
    assert abs(shown[0].mean() - large[17].mean()) < 4


def test_thumbnails_of_other_images_have_another_address(tmp_path):
    one = write_thumbnails(tmp_path, blobs(30, 0.5, 0), blobs(12, 0.5, 1), np.arange(5))
    other = write_thumbnails(tmp_path, blobs(30, 0.5, 2), blobs(12, 0.5, 1), np.arange(5))
    assert one.version != other.version and set(one.sheets).isdisjoint(other.sheets)
    (tmp_path / "thumbs.json").write_text("[")
    assert Thumbnails.read(tmp_path) is None and Thumbnails.read(tmp_path / "none") is None


def test_heads_for_people_name_the_noise_level():
    table = pd.DataFrame(
        {"item": [0], "index": [0], "source": ["a.png"], "log_ratio_0": [0.1], "log_ratio_1": [0.2], "label: index": ["x"]}
    )
    assert list(for_people(table, [0.03, 20.0])) == ["item", "row", "file", "log_ratio_at_0.03", "log_ratio_at_20", "label: index"]
