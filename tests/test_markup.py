"""Labels, class folders, file names, names of sets and runs, notes that are HTML: in everything that the page writes, and tried in a
browser: Data tab, audit, chart legend, hover, report."""

from __future__ import annotations

import json
import re
import shutil
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import blobs
from PIL import Image
from served import CHROMIUM, FLAGS, Visitor, studio
from test_page_logic import looked, parts, store  # noqa: F401  (fixtures)

from tiw.data import write_parquet
from tiw.files import shipped
from tiw.run.folder import RunFolder
from tiw.run.options import EvenOutOptions, PreviewOptions
from tiw.run.report import with_about

HOSTILE = (
    "<img src=x onerror=window.pwned=1>",
    "<b onmouseover=window.pwned=2>",
    '"><svg onload=window.pwned=3>',
    "<a href=javascript&colon;pwned=4>",
    '<a href="https://evil.example">',
    "-2+3+cmd|' /C calc'!A0;=1+1 ",
)
PREFIX = {"darker": HOSTILE[4], "lighter": HOSTILE[5]}  # of users' words; of all others the first

EXAMPLE = {json.loads(file.read_text())["kind"]: file.parent for file in (shipped("assets") / "example").glob("*/config.json")}
OF_USERS = re.compile(r"\b(darker|lighter|long|short|skin|hair|demo biased|demo reference)\b")  # their labels, values and sets


SENTENCES = ("sentence", "words", "title", "notes", "encoder")  # which may quote them


def marked(found: object, sentences: bool) -> object:
    """The same with markup before every word that is a user's, keys too, and before every sentence."""
    if isinstance(found, dict):
        whole = {key for key, value in found.items() if sentences and key in SENTENCES and isinstance(value, str)}
        return {marked(key, False): HOSTILE[1] + value if key in whole else marked(value, sentences) for key, value in found.items()}
    if isinstance(found, list):
        return [marked(value, sentences) for value in found]
    return OF_USERS.sub(lambda word: PREFIX.get(word[0], HOSTILE[0]) + word[0], found) if isinstance(found, str) else found


@pytest.fixture
def runs(store):  # noqa: F811
    return written_runs(store.jobs().folder)


def written_runs(home: Path) -> dict[str, str]:
    """The finished runs that ship with the app as one's own, with markup in all their names, and two more; ids by kind."""
    ids = {}
    for letter, (kind, shipped_run) in zip("abc", EXAMPLE.items(), strict=True):
        own = home / (letter * 32)
        shutil.copytree(shipped_run, own)
        (own / "owner").unlink()
        for file in own.glob("*.json"):
            file.write_text(json.dumps(marked(json.loads(file.read_text()), file.stem == "result")))
        config = json.loads((own / "config.json").read_text())
        named = {name: HOSTILE[0] for name in ("biased_name", "reference_name") if name in config["options"]}
        (own / "config.json").write_text(json.dumps({**config, "options": config["options"] | named | {"class_label": HOSTILE[0]}}))
        run = RunFolder.open(own)
        run.describe(HOSTILE[2], HOSTILE[2])
        run.write_status(stage=HOSTILE[0])
        ids[kind] = own.name
    audit = RunFolder.open(home / ids["audit"])
    result = audit.result()
    camera = [{"name": "borders", "sentence": HOSTILE[0], "fix": HOSTILE[1], "examples": [8, 8001]}]
    verdict = {**result["verdict"], "sentence": HOSTILE[0], "reasons": [HOSTILE[1]]}
    problems = [{"sentence": HOSTILE[1], "set": "biased", "kind": "few"}]
    audit.write_result({**result, "verdict": verdict, "camera": camera, "problems": problems})
    config = json.loads((home / ids["debias"] / "config.json").read_text())
    config["options"] |= dict.fromkeys(("biased", "reference"), f"/gone/{HOSTILE[1]}")
    (home / ids["debias"] / "config.json").write_text(json.dumps(config))
    debias = RunFolder.open(home / ids["debias"])
    result = debias.result()
    result["lagging"]["groups"][0]["lags"] = True
    debias.write_result(result)
    made = RunFolder.create(home / ("d" * 32), "even-out", EvenOutOptions(biased=f"/gone/{HOSTILE[1]}"))
    about = {role: {"n": 9, "name": HOSTILE[0]} for role in ("biased", "reference")}
    made.write_result({"steps": [HOSTILE[1]], "left": [HOSTILE[2]], **about})
    made.write_status(state="finished")
    broken = RunFolder.create(home / ("e" * 32), "preview", PreviewOptions())
    broken.write_status(state="failed", message=HOSTILE[1], stage=HOSTILE[0])
    return {**ids, "even-out": "d" * 32, "preview": "e" * 32}


def test_nothing_that_the_page_writes_has_a_name_for_markup(store, runs, looked, tmp_path):  # noqa: F811
    from ui import debias_tab, finding, loading, pictures, runs_list, sets, two_audits
    from ui.data_tab import DEMO

    shown, _, _ = looked(runs, DEMO)
    written = [value for values in shown.values() for value in values if isinstance(value, str) and not value.startswith("{")]
    audit = store.open_run(runs["audit"])
    assert not [text for text in written if "cannot be shown" in text]
    assert audit.done and all(store.open_run(runs[kind]).done for kind in EXAMPLE)
    for chart in (json.loads(value) for value in shown["compare"] if str(value).startswith('{"data"')):
        written += [text for trace in chart["data"] for name in ("text", "hovertext") for text in trace.get(name, ())]
    written.append(pictures.items_sheet(store.open_run(runs["even-out"]), [("biased", 0)], "", 1))
    written += [text for text in debias_tab.follow({**DEMO, "baseline": f"/gone/{HOSTILE[1]}"}) if isinstance(text, str)]
    written += [runs_list.render({}), finding.first(audit), two_audits.beside({"audit": runs["audit"]}, runs["audit"])]
    images = {role: str(tmp_path / f"{role} {HOSTILE[0]}") for role in ("biased", "reference")}
    for role, path in images.items():
        folder(Path(path), 0.5 if role == "biased" else 0.2)
    labelled = blobs(8, 0.5, 0)
    labelled = replace(labelled, attributes=labelled.attributes.rename(columns={"light": HOSTILE[1]}))
    write_parquet(tmp_path / "labelled.parquet", labelled)
    own = {**DEMO, **images, "baseline": "none"}
    written.append(sets.show({**own, **dict.fromkeys(("biased", "reference"), str(tmp_path / "labelled.parquet"))}))
    written.append(loading.Reading(own).shown())
    written += [show(chosen) for show in (sets.show, sets.uses) for chosen in (own, {**own, "biased_name": HOSTILE[0]})]
    assert all(escaped in "".join(written) for escaped in ("&lt;img src=x", "onerror", "&lt;svg", "&lt;b onmouseover"))
    for text in written:
        assert not any(mark in text for mark in HOSTILE), text[max(text.find("<img src=x") - 200, 0) :][:400]
    report = with_about((EXAMPLE["audit"] / "report.html").read_text(), *HOSTILE[:2])
    assert not any(mark in report for mark in HOSTILE)


@contextmanager
def browsing():
    """A page of a browser of its own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
    with sync_api.sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS).new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(60_000)
        yield page


@pytest.mark.page
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_no_name_is_ever_markup(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for role, share in (("biased", 0.2), ("reference", 0.6)):
        folder(tmp_path / f"{role} {HOSTILE[0]}", share)
    paths = [str(tmp_path / f"{role} {HOSTILE[0]}") for role in ("biased", "reference")]
    with studio(home, child="") as address, closing(Visitor(address)) as client, browsing() as page:
        run = client.api("audit", biased=paths[0], reference=paths[1], baseline="none", scored=60, map=False, score_all=False)
        while (status := client.api("run_status", run=run))["state"] in ("queued", "running"):
            time.sleep(0.5)
        assert status["state"] == "finished", status
        assert any(HOSTILE[1] in str(row) for row in status["result"]["shares"]), "the labels did not get through: nothing is tried"

        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/?run={run}")
        page.locator("#explorer .thumb").first.wait_for()
        for tab in ("Audit", "Data", "Audit"):
            page.get_by_role("tab", name=tab, exact=True).click()
            page.wait_for_timeout(500)
        page.locator("#explorer .thumb").first.click()
        for chart in page.locator("#explorer .js-plotly-plot").all():
            chart.scroll_into_view_if_needed()
            box = chart.bounding_box()
            for x in range(10, 100, 15):  # every hover that is there
                page.mouse.move(box["x"] + box["width"] * x / 100, box["y"] + box["height"] / 2)
                page.wait_for_timeout(60)
        page.get_by_role("tab", name="Data", exact=True).click()
        page.get_by_label("My own images").check()
        for role, path in zip(("biased", "reference"), paths, strict=True):
            page.locator(f"#{role}-path").get_by_role("textbox").fill(path)
        page.get_by_role("button", name="Load my images").click()
        page.locator("#data-view", has_text="60 images").wait_for()
        assert unharmed(page)

        report = tmp_path / "report.html"
        report.write_bytes(client.http.get(f"/tiw/{run}/report.html").content)
        assert HOSTILE[1] not in report.read_text()
        page.goto(report.as_uri())
        page.wait_for_timeout(500)
        assert unharmed(page) and not [url for url in asked if not url.startswith((address, "data:", "blob:", "file:"))]
        text = json.dumps(client.http.get(f"/tiw/{run}/explorer.json").json())
        assert HOSTILE[1] in text  # the labels are data to the end: the browser writes them as text


@pytest.mark.page
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_no_label_is_a_link_in_a_chart_or_a_formula_in_its_table(tmp_path):
    """plotly takes links and tags in the names of categories; the charts' own tables let a minus pass."""
    home = tmp_path / "home"
    home.mkdir()
    runs = written_runs(home / "runs")
    with studio(home) as address, browsing() as page:
        page.goto(f"{address}/?run={runs['compare']}")
        chart = page.locator("#compare-shares")
        chart.locator(".js-plotly-plot").wait_for()
        assert "evil.example" in chart.locator("svg").first.text_content()
        assert unharmed(page) and chart.locator("svg a").count() == 0
        with page.expect_download() as download:
            chart.get_by_role("button").click()
        table = download.value.path().read_text()
    assert "cmd|" in table
    for cell in re.split(r"[,;\n]", table):
        assert not cell.strip(' "').startswith(("=", "+", "-", "@")), cell


def unharmed(page) -> bool:
    loose = "[...document.querySelectorAll('img[src=x], [onmouseover*=pwned], svg[onload], a[href^=javascript]')].length"
    return page.evaluate("window.pwned === undefined") and page.evaluate(loose) == 0


def folder(path: Path, share: float) -> None:
    """Two class folders and file names, all of them markup."""
    images = blobs(60, share, len(path.name))
    for k, (image, light) in enumerate(zip(images.images, images.attributes["light"], strict=True)):
        own = path / HOSTILE[1 if light == "bright" else 2].replace("/", "")
        own.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(own / f"{HOSTILE[3]}{k}.png")
