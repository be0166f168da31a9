"""Strangers against a public app and against each other: every row was seen to succeed before the gate was built (docs/SECURITY.md)."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import closing

import numpy as np
import pytest
from conftest import blobs
from PIL import Image
from served import Visitor, studio

from tiw.data import write_parquet
from tiw.run.folder import RunFolder
from tiw.run.options import AuditOptions, DebiasOptions, EvenOutOptions, TrainOptions
from ui import caps

VERDICT = {"level": "no-difference", "sentence": "Nothing to see.", "reasons": [], "reliable_from": None}
AUDITED = {
    "estimator": "convex",
    "levels": [],
    "camera": [{"name": "borders", "sentence": "borders", "fix": "crop", "examples": []}],
    "problems": [],
    "shares": [],
    "groups": None,
    "verdict": VERDICT,
    "secret": "a result of hers",
}
SECRETS = (
    "result.json",
    "scores.csv",
    "report.html",
    "levels.csv",
    "shares.csv",
    "explorer.json",
    "sprite.webp",
    "strip/0.webp",
    "model.zip",
    "spot.json",
    "stated.json",
    "spot.csv",
    "spot.zip",
    "spot/0.webp",
)


@pytest.fixture(scope="module")
def address(home):
    with studio(home, "--public") as address:
        yield address


@pytest.fixture(scope="module")
def alice(address):
    with closing(Visitor(address)) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def mallory(address):
    with closing(Visitor(address)) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def hers(home, alice):
    """What Alice owns: two sets as uploads, an audit, a camera fix, a debiased model, a stopped training. Names by kind."""
    made = {}
    for role, share in (("biased", 0.2), ("reference", 0.6)):
        folder = home / "uploads" / (("b" if role == "biased" else "c") * 32)
        folder.mkdir(parents=True)
        (folder / "owner").write_text(alice.name)
        write_parquet(folder / f"{role}.parquet", blobs(40, share, len(role)))
        made[role] = str(folder / f"{role}.parquet")
    sets = {"biased": made["biased"], "reference": made["reference"]}
    about = {role: {"n": 40, "scored": 40, "name": role} for role in sets}
    for letter, kind, options, result, state in (
        ("1", "audit", AuditOptions(**sets, baseline="none"), {**AUDITED, **about}, "finished"),
        ("2", "even-out", EvenOutOptions(**sets), {"steps": ["cropped"], "left": [], **about}, "finished"),
        ("3", "debias", DebiasOptions(**sets), {"steps": 1, "objective": "dsm-ref", "training_seconds": 1.0}, "finished"),
        ("4", "train", TrainOptions(data=made["biased"]), None, "stopped"),
        ("5", "debias", DebiasOptions(**sets, seed=5), None, "running"),
    ):
        run = RunFolder.create(home / "runs" / (letter * 32), kind, options)
        (run.path / "owner").write_text(alice.name)
        if result is not None:
            run.write_result({**result, "used": {"biased": made["biased"]}})
        for name in ("report.html", "levels.csv"):
            (run.path / name).write_text(f"hers: {made['biased']}")
        run.write_status(state=state, created=f"2026-01-01T00:00:0{letter}+00:00")
        made[run.path.name[0]] = run.path.name
    (home / "runs" / ("3" * 32) / "model").mkdir()
    (home / "runs" / ("3" * 32) / "model" / "config.json").write_text("{}")
    write_parquet(home / "runs" / ("2" * 32) / "biased.parquet", blobs(40, 0.2, 0))
    return made


def sets_of(**given):
    usual = {
        "biased": "demo",
        "reference": "demo",
        "references": 0,
        "baseline": "demo",
        "class_label": "",
        "resolution": 0,
        "skip_bad": False,
    }
    return usual | given


def current_of(**given):
    return dict.fromkeys(("audit", "even-out", "train", "preview", "debias", "compare"), "") | given


def press(visitor, event, sets, current):
    """One of the page's own buttons, with all fields as they are but for what the browser keeps."""
    parts = {part["id"]: part["props"] for part in visitor.config["components"]}
    kept = {"tiw-sets": sets, "tiw-runs": current}
    number = visitor.events.get(event, event)
    (inputs,) = (found["inputs"] for found in visitor.config["dependencies"] if found["id"] == number)
    return visitor.call(number, *(kept.get(parts[k].get("storage_key"), parts[k].get("value")) for k in inputs))


def everything(home):
    """Files and states: what an attack must leave as it was."""
    return {str(f.relative_to(home)): f.read_bytes() for part in ("runs", "uploads") for f in (home / part).rglob("*") if f.is_file()}


@pytest.fixture
def untouched(home, hers):
    before = everything(home)
    yield
    after = everything(home)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if name.endswith("/stop")]


# --- another visitor's runs


def test_her_own_run_is_hers_to_see(alice, hers):
    assert alice.api("run_status", run=hers["1"])["result"]["secret"] == "a result of hers"
    assert alice.http.get(f"/tiw/{hers['1']}/result.json").status_code == 200
    assert hers["1"] in json.dumps(alice.call("opened", current_of(), sets_of(), [], []))


def test_what_is_listed_for_download_is_there(alice, hers):
    """A debiased model has no shares, and its list named them."""
    for letter in "123":
        for path in alice.api("downloads", run=hers[letter]):
            assert alice.http.get(f"/{path}").status_code == 200, path


@pytest.mark.parametrize("who", ["mallory", "without a cookie"])
@pytest.mark.parametrize("file", SECRETS)
def test_nothing_of_a_run_is_downloaded_by_another(address, mallory, hers, file, who):
    headers = {"cookie": ""} if who != "mallory" else {}
    for letter in "123":
        found = mallory.http.get(f"/tiw/{hers[letter]}/{file}", headers=headers)
        assert found.status_code == 404 and b"hers" not in found.content
    selection = mallory.http.post(f"/tiw/{hers['1']}/selection.zip", json={"items": [0, 1]}, headers=headers)
    labels = mallory.http.post(f"/tiw/{hers['1']}/spot.json", json={"draw": {"size": 100}}, headers=headers)
    assert {selection.status_code, labels.status_code} <= {401, 404}


def test_a_newcomer_is_shown_no_run_of_anyone(mallory, hers):
    found = json.dumps(mallory.call("opened", current_of(), sets_of(), [], []))
    forged = json.dumps(mallory.call("opened", current_of(audit=hers["1"], debias=hers["3"]), sets_of(), [], []))
    assert not any(hers[letter] in text for letter in "12345" for text in (found, forged))


def test_another_run_is_not_shown_by_naming_it_in_the_browsers_state(alice, mallory, hers):
    """The page gives its runs' addresses and files; it has them of whoever owns them."""
    named = sets_of(), current_of(audit=hers["1"], debias=hers["3"]), None
    own, found = (json.dumps(visitor.call("look", *named)) for visitor in (alice, mallory))
    assert f"tiw/{hers['1']}/" in own and f"tiw/{hers['1']}/" not in found and f"tiw/{hers['3']}/" not in found


def test_another_run_is_not_opened(mallory, hers):
    found = json.dumps(mallory.call("open_listed", current_of(), event_data={"value": hers["1"]}))
    assert hers["1"] not in found


def test_another_run_is_neither_stopped_nor_resumed_nor_deleted(mallory, hers, untouched):
    handlers = [event["id"] for event in mallory.config["dependencies"] if (event["api_name"] or "").startswith("handler")]
    assert handlers
    for number in handlers:
        mallory.call(number, current_of(audit=hers["1"], debias=hers["5"], train=hers["4"], preview=hers["5"]))
    for run in (hers["1"], hers["4"]):
        mallory.call("delete_listed", current_of(audit=run), event_data={"value": run})
    assert "error" in mallory.api("stop_run", run=hers["5"])
    assert "error" in mallory.api("describe_run", run=hers["5"], name="mine")
    assert "error" in mallory.api("run_status", run=hers["1"])
    assert "error" in mallory.api("ratio_histogram", run=hers["1"])
    assert "error" in mallory.api("compare", debias_run=hers["3"])


def test_anothers_open_page_is_neither_heard_nor_joined(alice, mallory, hers):
    """The word that names an open page is the browser's choice; whoever knew it got what the page was told."""
    event = {"data": [], "fn_index": alice.events["runs"], "session_hash": alice.session}
    assert alice.http.post("/gradio_api/queue/join", json=event).status_code == 200
    for path in (f"queue/data?session_hash={alice.session}", f"call/runs/{alice.session}"):
        heard = mallory.http.get(f"/gradio_api/{path}")
        assert heard.status_code == 404 and hers["1"] not in heard.text
    assert mallory.http.post("/gradio_api/queue/join", json=event).status_code == 404
    assert hers["1"] in json.dumps(alice.call("runs"))


def test_move_to_reference_and_camera_fix_work_on_ones_own_audit_only(mallory, hers, untouched):
    moved = mallory.call("_move_to_reference", sets_of(), event_data={"value": {"run": hers["1"], "items": [0, 1, 2]}})
    assert "biased.json" not in json.dumps(moved)
    assert hers["2"] not in json.dumps(mallory.call("load_fixed", sets_of(), current_of(**{"even-out": hers["2"]})))
    mallory.call("begin_fix", current_of(audit=hers["1"]))


def test_her_models_and_sets_are_no_input_of_anothers_run(mallory, hers, home, untouched):
    for place in (
        hers["biased"],
        f"upload:{'b' * 32}/biased.parquet",
        f"run:{'2' * 32}/biased.parquet",
        str(home / "runs" / ("2" * 32) / "biased.parquet"),
        f"upload:{'b' * 32}/../{'b' * 32}/biased.parquet",
        str(home / "uploads" / ("b" * 32)),
        str(home / "secret"),
        str(home),
    ):
        assert "error" in mallory.api("audit", biased=place, baseline="none"), place
        assert "error" in mallory.api("load_images", biased=place), place
        assert "images ·" not in json.dumps(mallory.call("restore", sets_of(biased=place, baseline="none"))), place
    assert "error" in mallory.api("debias", baseline=f"run:{'3' * 32}/model")


# --- the server's own files


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Images on the server that are nobody's business."""
    folder = tmp_path_factory.mktemp("server") / "photos"
    for kind in ("rose", "tulip"):
        (folder / kind).mkdir(parents=True)
    for k, image in enumerate(blobs(20, 0.5, 3).images):
        Image.fromarray(image).save(folder / ("rose", "tulip")[k % 2] / f"{k}.png")
    return str(folder)


@pytest.mark.parametrize(
    "place", ["", "/", "..", "~", "file://", "hub:org/name", "cifar10", "upload:", "run:x/model", "https://x.test/a.zip"]
)
def test_no_path_hub_id_or_known_set_is_opened(mallory, servers, home, hers, place):
    path = place + servers if place in ("", "/", "..", "~", "file://") else place
    assert "error" in mallory.api("audit", biased=path, baseline="none")
    assert "error" in mallory.api("load_images", biased=path, reference=path)
    assert "error" in mallory.api("even_out", biased=path, reference=path)
    assert "error" in mallory.api("debias", baseline=path)
    for name in ("biased", "reference", "baseline"):
        shown = json.dumps(mallory.call("restore", sets_of(baseline="none", **{} if name == "baseline" else {name: path})))
        assert "20</b> images" not in shown
    loaded = json.dumps(mallory.call("choose_own", path, path, "", "", 0, False, "", ""))
    assert "20</b> images" not in loaded
    assert "rose" not in json.dumps(mallory.call("read_labels", path))
    built = mallory.api("reference_from_labels", biased=path, attribute="label", shares="rose=50, tulip=50", count=10)
    assert "error" in built and "label" not in built["error"] and "rose" not in built["error"], built
    begun = [event for event in mallory.config["dependencies"] if (event["api_name"] or "").startswith("begin")]
    for event in begun:
        press(mallory, event["id"], sets_of(biased=path, reference=path), current_of())
    assert not [run for run in (home / "runs").iterdir() if servers in (run / "config.json").read_text()]
    assert len(begun) >= 5


@pytest.mark.parametrize(
    "path",
    [
        "/tiw/..%2f..%2fsecret/result.json",
        "/tiw/0123/result.json",
        f"/tiw/{'0' * 32}/result.json",
        f"/tiw/{'1' * 32}/../../secret",
        f"/tiw/{'1' * 32}/previews/..%2f..%2f..%2fsecret",
        "/gradio_api/file={home}/secret",
        "/gradio_api/file={home}/runs/11111111111111111111111111111111/result.json",
        "/gradio_api/file=/etc/passwd",
        "/file=/etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/assets/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/monitoring",
        "/gradio_api/token",
        "/?page=x",
        "/?page=",
    ],
)
def test_no_address_leads_to_a_file_of_the_server(mallory, hers, home, path):
    found = mallory.http.get(path.format(home=home))
    assert found.status_code in (400, 403, 404, 405) and b"root:" not in found.content and b"hers" not in found.content


def test_ones_own_run_is_no_way_out_of_its_folder(alice, hers, home):
    """Whose run it is was asked; where its addresses lead is not, by then."""
    (home / "runs" / hers["1"] / "previews").mkdir()
    (home / "runs" / hers["1"] / "previews" / "status.json").write_text("{}")
    for path in (
        "previews/%2e%2e",
        "previews/status.json",
        "strip/%2e%2e.webp",
        "image/-1.webp",
        "pairs/" + "9" * 200 + ".webp",
        "spot/x.webp",
    ):
        assert alice.http.get(f"/tiw/{hers['1']}/{path}").status_code == 404, path


def test_the_secret_and_the_places_of_things_are_in_no_answer(alice, mallory, hers, home):
    secret = (home / "secret").read_text()
    texts = [alice.page.text, json.dumps(alice.config), alice.http.get("/gradio_api/info").text]
    texts += [alice.http.get(f"/tiw/{hers['1']}/{name}").text for name in ("result.json", "report.html", "levels.csv")]
    assert all("biased.parquet" in text for text in texts[-3:])
    refused = alice.http.post(f"/tiw/{hers['1']}/spot.json", json={"labels": {"0": "dark"}})
    assert refused.status_code == 409 and "spot_check.csv" in refused.text
    texts += [refused.text, *(json.dumps(alice.api("run_status", run=hers[number])) for number in "15")]
    texts += [json.dumps(alice.call("look", sets_of(), current_of(audit=hers["1"], debias=hers["5"]), None))]
    texts += [json.dumps(mallory.api("audit", biased=str(home))), json.dumps(alice.call("opened", current_of(), sets_of(), [], []))]
    for text in texts:
        assert secret not in text and str(home) not in text and '"pid"' not in text and "site-packages" not in text


def test_a_file_that_lies_elsewhere_is_no_upload(mallory, servers, home):
    for path in ("http://127.0.0.1:1/x.zip", "/etc/passwd", f"{servers}/rose/0.png", str(home / "secret"), "../../secret"):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "x.zip"}
        found = json.dumps(mallory.call("take_upload", [file]))
        assert "upload:" not in found and "error" in found, path


# --- uploads


def test_an_upload_is_its_visitors_alone_and_keeps_its_name(alice, mallory):
    (path,) = alice.upload("../../my faces.zip", zipped())
    named = alice.call("take_upload", [{"path": path, "meta": {"_type": "gradio.FileData"}}])["data"][0]
    assert named.startswith("upload:") and named.endswith("/my faces.zip")
    found = alice.api("load_images", biased=named, reference=named)
    assert found.get("biased", found).get("n") == 12, found
    assert "error" in mallory.api("load_images", biased=named, reference=named)
    loaded = alice.call("choose_own", named, named, "", "", 0, False, "", "")
    assert loaded["data"][0]["biased"] == named, loaded  # without a model: trained here, or audited by its pixels


def test_a_public_app_takes_zips_only(mallory):
    array = io.BytesIO()
    np.savez(array, images=blobs(10, 0.5, 0).images)
    (path,) = mallory.upload("x.npz", array.getvalue())
    assert "upload:" not in json.dumps(mallory.call("take_upload", [{"path": path, "meta": {"_type": "gradio.FileData"}}]))


def test_a_bomb_of_pixels_reaches_neither_page_nor_run(alice, home, hers):
    """28 KB that would decode to 12 GB; seen to take 2 GB and 34 s of the page's own process."""
    packed, png = io.BytesIO(), io.BytesIO()
    Image.new("1", (8000, 8000)).save(png, "PNG")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(64):
            archive.writestr(f"{k}.png", png.getvalue())
    (path,) = alice.upload("bomb.zip", packed.getvalue())
    named = alice.call("take_upload", [{"path": path, "meta": {"_type": "gradio.FileData"}}])["data"][0]
    runs = len(list((home / "runs").iterdir()))
    for resolution in (0, 64):
        assert "error" in alice.api("audit", biased=named, reference=named, baseline="none", resolution=resolution)
    assert "error" in alice.api("load_images", biased=named, reference=named)
    assert len(list((home / "runs").iterdir())) == runs


def zipped(images=12):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for k, image in enumerate(blobs(images, 0.5, 4).images):
            png = io.BytesIO()
            Image.fromarray(image).save(png, "PNG")
            archive.writestr(f"{k}.png", png.getvalue())
    return packed.getvalue()


# --- too much


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("debias", {"minutes": 1e300}),
        ("debias", {"steps": 10**9}),
        ("debias", {"seed": -1}),
        ("debias", {"strength": "1e999"}),
        ("debias", {"class_label": "x" * 100_000}),
        ("audit", {"scored": 10**9}),
        ("audit", {"references": -1}),
        ("audit", {"references": 10**9}),
        ("audit", {"device": "cuda"}),
        ("audit", {"sampling_steps": 10**9}),
        ("even_out", {"fix": "a," * 10_000}),
    ],
)
def test_no_number_or_text_is_too_large_to_be_refused(mallory, kind, given, home, hers, untouched):
    runs = len(list((home / "runs").iterdir()))
    assert "error" in mallory.api(kind, **given)
    assert len(list((home / "runs").iterdir())) == runs


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("debias", {"minutes": caps.PUBLIC.minutes + 0.5}),
        ("debias", {"steps": caps.PUBLIC.steps + 1}),
        ("debias", {"batch_size": caps.PUBLIC.batch_size + 1}),
        ("train", {"data": "demo", "minutes": caps.PUBLIC.minutes + 0.5}),
        ("audit", {"scored": caps.PUBLIC.scored + 1}),
        ("audit", {"references": caps.PUBLIC.references + 1}),
        ("audit", {"resolution": caps.PUBLIC.resolution + 8}),
        ("preview", {"count": caps.PUBLIC.count + 1}),
    ],
)
def test_one_more_than_a_stranger_may_ask_for_is_refused(mallory, kind, given, hers, untouched):
    """Within the bounds of the machine's owner: the caps alone say no."""
    assert "more than this app allows" in mallory.api(kind, **given)["error"]


def test_fields_smuggled_in_with_the_sets_reach_no_run(mallory, home, hers):
    smuggled = sets_of(device="cuda", count=10**9, sampling_steps=10**9, precision="bfloat16")
    known = set((home / "runs").iterdir())
    press(mallory, "begin_preview", smuggled, current_of())
    begun = set((home / "runs").iterdir()) - known
    assert len(begun) == 1
    for run in begun:
        options = json.loads((run / "config.json").read_text())["options"]
        assert (options["device"], options["count"], options["sampling_steps"]) == ("auto", 64, 12)
        mallory.api("stop_run", run=run.name)


def test_a_visitor_has_few_runs_waiting_and_others_still_get_in(address, home):
    with closing(Visitor(address)) as busy, closing(Visitor(address)) as other:
        begun = [busy.api("audit", references=50) for _ in range(6)]
        accepted = [run for run in begun if isinstance(run, str)]
        assert 1 <= len(accepted) <= 3 and all("have not finished" in run["error"] for run in begun[3:])
        last = other.api("audit", references=50)
        assert isinstance(last, str)
        for visitor, runs in ((other, [last]), (busy, reversed(accepted))):
            for run in runs:
                assert "error" not in visitor.api("stop_run", run=run)


@pytest.mark.parametrize(
    "body", [b"[" * 90_000, b'{"data":' * 3000, b"{}", b"[]", b"null", b'{"data": [NaN]}', b'{"data": 1, "fn_index": 1e999}', b"\xff\xff"]
)
def test_bad_requests_get_4xx_and_no_traceback(mallory, body, home):
    told = len(home.with_suffix(".log").read_text())
    for path in (
        "/gradio_api/queue/join",
        "/gradio_api/run/audit",
        "/gradio_api/call/audit",
        "/gradio_api/call/v2/audit",
        "/gradio_api/cancel",
    ):
        found = mallory.http.post(path, content=body, headers={"content-type": "application/json"})
        assert 400 <= found.status_code < 500 or (path.endswith("v2/audit") and body == b"{}"), (path, found.status_code)
        assert b"Traceback" not in found.content
    assert "Traceback" not in home.with_suffix(".log").read_text()[told:]
