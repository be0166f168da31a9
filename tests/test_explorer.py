"""What a selection in the audit explorer becomes: a zip of its images, and a larger reference set."""

import io
import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import blobs
from PIL import Image

from tiw.data import load_images
from tiw.errors import UserInputError
from tiw.run.folder import RunFolder
from tiw.run.options import AuditOptions

LEVEL = {"sigma": 0.1, "auc": {"value": 0.72}, "effective_sample_size": {"count": 12.0, "share": 0.3}}


@pytest.fixture
def audited(tmp_path, monkeypatch):
    """A finished audit of 40 biased and 30 reference images, as the page's store sees it."""
    monkeypatch.setenv("TIW_HOME", str(tmp_path / "home"))
    from ui import store

    store.jobs.cache_clear()
    for name, images in (("biased", blobs(40, 0.2, 0)), ("reference", blobs(30, 0.6, 1))):
        np.savez(tmp_path / f"{name}.npz", images=images.images, light=images.attributes["light"].to_numpy(str))
    options = AuditOptions(biased=str(tmp_path / "biased.npz"), reference=str(tmp_path / "reference.npz"))
    folder = RunFolder.create(store.jobs().folder / ("a" * 32), "audit", options)
    items = np.r_[range(30), range(40, 70)]  # ten of the biased images are scored later
    table = _scores(items, **{"label: light": np.where(items % 2, "bright", "dark")})
    table.to_parquet(folder.path / "scores.parquet")
    table.to_csv(folder.path / "scores.csv", index=False)
    folder.write_result({"biased": {"n": 40, "scored": 30}, "reference": {"n": 30}, "levels": [LEVEL], "verdict": {"reliable_from": None}})
    folder.write_status(state="finished")
    yield store.open_run("a" * 32)
    store.jobs().close()
    store.jobs.cache_clear()


def _scores(items, **labels):
    of_reference = items >= 40
    where = {"item": items, "set": np.where(of_reference, "reference", "biased"), "index": items - 40 * of_reference}
    return pd.DataFrame({**where, "log_ratio_0": items / 70.0, **labels})


def test_the_rest_comes_on_demand_and_has_no_place_on_the_map(audited):
    from ui import explorer

    _scores(np.arange(30, 40)).to_parquet(audited.path / "rest.parquet")
    layout = pd.DataFrame({"item": np.r_[range(40, 70), range(30)], "level": -1, "x": range(60), "y": 0.0})
    layout.to_parquet(audited.path / "map.parquet")
    assert not explorer.payload(audited)["map_coming"]  # it has finished
    few, all_ = explorer.payload(audited), explorer.payload(audited, everything=True)
    assert (few["drawn"]["shown"], all_["drawn"]["shown"], all_["drawn"]["there"]) == (60, 70, 70)
    assert sorted(all_["points"]["item"]) == list(range(70))
    x = dict(zip(all_["points"]["item"], all_["maps"]["-1"]["x"], strict=True))
    assert x[40] == 0 and x[0] == 30 and x[35] is None
    light = all_["points"]["attributes"]["light"]
    assert light["values"] == ["bright", "dark"] and light["codes"][all_["points"]["item"].index(35)] == -1


def test_too_many_points_are_thinned_alike_in_both_sets(audited, monkeypatch):
    from ui import explorer

    monkeypatch.setattr(explorer, "MOST_DRAWN", 20)
    points = explorer.payload(audited)["points"]
    assert [points["set"].count(k) for k in (0, 1)] == [10, 10]
    assert points == explorer.payload(audited)["points"]
    with Image.open(io.BytesIO(explorer.sprite(audited.id, explorer.version(audited)))) as sheet:
        assert sheet.size == (50 * 16, 16)  # one place for each point, in one row of fifty


def test_thumbnails_shrink_before_a_sheet_outgrows_its_format():
    from ui import pictures

    images = [np.full((64, 64, 3), k % 256, np.uint8) for k in range(50 * 300)]
    with Image.open(io.BytesIO(pictures.sprite(images, 64))) as sheet:
        assert sheet.size == (50 * 54, 300 * 54)


def test_rare_values_of_a_label_stand_together():
    from ui import explorer

    found = explorer._coded(pd.Series([str(k) for k in range(30)] + ["29", None]))
    assert len(found["values"]) == explorer.MOST_VALUES and "29" in found["values"] and "others" in found["values"]
    assert found["codes"][-1] == -1


def test_the_zip_holds_the_chosen_images_and_their_scores(audited):
    from ui import explorer

    with explorer.zipped(audited, [3, 45, 999, "x"]) as packed, zipfile.ZipFile(packed) as archive:
        assert archive.namelist() == ["biased-000003.png", "reference-000005.png", "scores.csv"]
        image = np.asarray(Image.open(io.BytesIO(archive.read("biased-000003.png"))))
        assert pd.read_csv(io.BytesIO(archive.read("scores.csv")))["item"].tolist() == [3, 45]
    assert np.array_equal(image, load_images(audited.options["biased"]).images[3])


def test_an_image_in_the_zip_has_the_name_of_its_own_file():
    from ui.explorer import _file

    assert _file("biased", 3, "people/anna's <b>.JPG") == "biased-000003 anna's _b_.png"
    assert _file("reference", 5, "row 5") == "reference-000005.png" and _file("biased", 3, "../../x") == "biased-000003 x.png"


def test_moved_images_leave_the_biased_set(audited):
    from ui import explorer, store

    before = load_images(audited.options["biased"])
    sets = explorer.with_more_references(audited, [7, 2, 7, 50])
    biased, reference = (load_images(store.located(sets[role], role)) for role in ("biased", "reference"))
    assert len(biased) == 38 and len(reference) == 32 and sets["references"] == 0
    assert np.array_equal(reference.images[30:], before.images[[2, 7]])
    assert reference.attributes["light"].iloc[30:].tolist() == before.attributes["light"].iloc[[2, 7]].tolist()
    assert np.array_equal(biased.images, np.delete(before.images, [2, 7], 0))
    again = AuditOptions(**sets)  # the options of the next audit
    assert again.biased == sets["biased"]
    with pytest.raises(UserInputError, match="selection"):
        explorer.with_more_references(audited, [50])


def test_images_that_were_replaced_are_never_shown_under_old_scores(audited, tmp_path):
    from ui import explorer

    of = {role: load_images(audited.options[role]).about() for role in ("biased", "reference")}
    audited.result.update(of)
    assert explorer.strip(audited, 3)
    np.savez(tmp_path / "biased.npz", images=blobs(40, 0.2, 5).images)
    for shown in (
        lambda: explorer.strip(audited, 3),
        lambda: explorer.zipped(audited, [3]),
        lambda: explorer.with_more_references(audited, [2]),
    ):
        with pytest.raises(UserInputError, match="changed since this run"):
            shown()


def test_labels_of_any_name_reach_the_charts(audited):
    from ui import explorer

    table = _scores(np.arange(40), **{"label: set": "a", "label: log_ratio_0": "b", "group": "1", "label: group": "c"})
    table.to_parquet(audited.path / "scores.parquet")
    found = explorer.payload(audited)["points"]["attributes"]
    assert {name: of["values"] for name, of in found.items()} == {
        "set": ["a"],
        "log_ratio_0": ["b"],
        "group of similar images": ["1"],
        "group": ["c"],
    }


def in_node(script: str, file: str, first: str, before: str = ""):
    """What a script prints as JSON, with a part of the page's own source at PART: from `first` to `before`, else to its function's end."""
    source = (Path(__file__).parents[1] / "assets" / "app" / file).read_text()
    start = source.index(first)
    end = source.index(before, start) if before else source.index("\n}\n", start) + 3
    done = subprocess.run(["node", "-e", script.replace("PART", source[start:end])], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


MAP = """
const plain = (name) => name, data = { levels: [{ histogram: { edges: [-1, 1] } }], maps: { "-1": { x: [0, 1, 2, 3], y: [0, 0, 0, 0] } } };
data.points = { item: [0, 1, 2, 3], set: [0, 0, 1, 1], attributes: { hair: { codes: [1, 0, 1, -1], values: ["<i>", "short"] } } };
const has_webgl = false, selection = [], names = ["biased", "reference"], TITLES = { biased: "Large", reference: "Reference" };
const COLOUR = { biased: "b", reference: "r", middle: "m" }, CATEGORIES = ["one", "two"], layout = "-1", current = null;
const set_of = (p) => names[data.points.set[p]], file_of = plain, factor = plain, ratio = () => 0, passes = () => true, count = plain;
const escaped = (text) => String(text).replace("<", "&lt;");
let shuffled = null, colour;
PART
console.log(JSON.stringify(["set", "hair"].map((name) => { colour = name; return map_traces(); })));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_no_group_hides_another_on_the_map():
    """Coloured by a label, the last of its values had lain over all others: one trace in random order, as for the sets."""
    for traces, legend, colours in zip(
        in_node(MAP, "explorer_draw.js", "function drawing_order", "function draw_map()"),
        (["Large (2)", "Reference (2)"], ["&lt;i> (1)", "short (2)"]),
        ({0: "b", 1: "b", 2: "r", 3: "r"}, {0: "two", 1: "one", 2: "two", 3: "m"}),
        strict=True,
    ):
        dots, *names = traces
        assert sorted(dots["x"]) == [0, 1, 2, 3] and not dots["showlegend"]
        assert dict(zip(dots["x"], dots["marker"]["color"], strict=True)) == colours
        assert [name["name"] for name in names] == legend and all(name["x"] == [None] for name in names)


WAITING = """
const map = { classes: new Set(), innerHTML: "", setAttribute() {}, removeAttribute() {} };
map.classList = { contains: (name) => map.classes.has(name), remove: (name) => map.classes.delete(name) };
const Plotly = {
  purge: (at) => { delete at.plot; },
  react: (at) => { if (!at.plot) at.innerHTML = "dots"; at.plot = true; at.classes.add("js-plotly-plot"); },
};
const $ = () => map, PLAIN = {}, map_traces = () => [], level_name = (s) => s, level = 0, layout = "-1", mode = "lasso", colour = "set";
let drawn = 0, data = { points: { item: [] }, levels: [{ sigma: 1 }], map_coming: true };
PART
const shown = [{ "-1": {} }, {}, { "-1": {} }].map((maps) => { data.maps = maps; draw_map(); map.wired ??= true; return map.innerHTML; });
console.log(JSON.stringify([...shown, map.wired]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_a_map_is_drawn_where_another_audits_map_was_before():
    """Every first audit: the shipped one's map was on screen, “being drawn” took its place, and stayed for ever."""
    first, between, last, wired = in_node(WAITING, "explorer_draw.js", "function draw_map()")
    assert (first, last) == ("dots", "dots") and "being drawn" in between and not wired  # its events are to be wired again


TABLE = """
const data = { points: { attributes: { set: {}, file: {} }, index: [4], item: [4], log_ratio: [[0.5]] }, levels: [{ sigma: 0.03 }] };
const set_of = () => "biased", file_of = () => "a.png", tags_of = () => ["odd"], label_of = (p, name) => `of ${name}`, level_name = String;
PART
console.log(JSON.stringify(table([0])));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_labels_called_set_or_file_have_columns_of_their_own_in_the_pages_tables():
    """Two columns were called “set”, and two “file”."""
    head, row = in_node(TABLE, "explorer_load.js", "function table(")
    assert len(set(head)) == len(head) == len(row) and dict(zip(head, row, strict=True))["label: set"] == "of set"


FETCHES = """
const fresh = { run: "r", points: { item: [] }, start: 0 };
const hidden = {}, waiting = [], answers = [null, { ok: false }, { ok: true, json: async () => fresh }];
let data = null, everything = false, links, selection = [], current = null, gallery, layout, colour, only, level;
const element = { querySelector: () => hidden }, props = { value: { run: "r", url: "u?v=1", sprite: "s?v=1" } }, $ = () => hidden;
const controls = () => {}, draw = controls, wire = controls, read_tags = controls, setTimeout = (again) => waiting.push(again);
const fetch = async () => { const answer = answers.shift(); if (!answer) throw new Error("gone"); return answer; };
PART
(async () => {
  await load();
  const tries = [data];
  while (waiting.length) { await waiting.shift()(); tries.push(data && data.run); }
  console.log(JSON.stringify([tries, links.sprite]));
})();
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_an_explorer_that_could_not_be_fetched_is_fetched_again():
    """No answer, then an error, then the data: the first failure used to be the last try."""
    assert in_node(FETCHES, "explorer_load.js", "let loading = null") == [[None, None, "r"], "s?v=1"]
