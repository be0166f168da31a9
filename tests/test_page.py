"""The real page in a real browser: audit, short debias, comparison, by the buttons, with everything computed."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio_client
import gradio_client.exceptions
import numpy as np
import pandas as pd
import pytest
from conftest import blobs
from served import CHROMIUM, FLAGS, QUICK, studio

AXE = files("axe_playwright_python") / "axe.min.js" if find_spec("axe_playwright_python") else None
FOUND = """async () => (await axe.run({ exclude: ["footer"] }, { resultTypes: ["violations"] })).violations
  .map((found) => `${found.id}: ${found.nodes[0].html.slice(0, 200)}`)"""
SLOW_ANSWER = """name => {
  const json = Response.prototype.json;
  Response.prototype.json = async function () {
    const found = await json.call(this);
    if (this.url.includes(name)) await new Promise(then => setTimeout(then, 2000));
    return found;
  };
}"""

pytestmark = [pytest.mark.page, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install chromium to run it")]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with studio(home, child=QUICK) as address:
        yield f"{address}/"


@pytest.fixture(scope="module")
def problems() -> list[str]:
    """Script errors, and addresses outside the app that the page asked for."""
    return []


@pytest.fixture(scope="module")
def page(address: str, problems: list[str]) -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: request.url.startswith((address, "data:", "blob:")) or problems.append(request.url))
        page.on("pageerror", lambda error: print(error))  # seen where a test fails
        page.on("response", lambda answer: answer.status < 400 or print(answer.status, answer.url))
        page.on("requestfailed", lambda request: print(request.failure, request.url))
        page.set_default_timeout(90_000)  # a busy machine is no failure
        page.goto(address)
        yield page
        browser.close()


def test_first_page_shows_both_sets_of_the_demo(page: Any) -> None:
    page.get_by_text("8,000", exact=True).wait_for()
    assert page.get_by_role("tab").all_inner_texts() == ["Data", "Audit", "Debias", "Compare", "Learn"]
    assert page.get_by_role("img", name="images of the reference set").is_visible()
    assert page.get_by_role("img", name="images of the large set").evaluate("image => image.naturalWidth") > 300


def test_a_bad_path_is_said_and_nothing_stays_loaded(page: Any) -> None:
    page.get_by_label("My own images").check()
    page.locator("#biased-path").get_by_role("textbox").fill("/no/such/folder")
    page.locator("#reference-path").get_by_role("textbox").fill("/no/such/folder")
    page.get_by_role("button", name="Load my images").click()
    alert = page.locator(".tiw-error")
    alert.wait_for()
    assert alert.inner_text().count("/no/such/folder") == 2
    page.get_by_text("No images are loaded", exact=True).wait_for()
    page.get_by_role("tab", name="Audit", exact=True).click()
    assert page.locator("#audit-go").is_disabled()
    page.get_by_role("tab", name="Data", exact=True).click()
    page.get_by_label("Demo portraits").check()
    page.get_by_label("50", exact=True).check()  # the rest is faster with fewer
    page.locator("#data-view", has_text="50 images").wait_for()


def test_audit_debias_and_compare_by_their_buttons(page: Any, home: Path, address: str, problems: list[str]) -> None:
    audit = _audit(page, home)
    assert (audit["biased"]["scored"], audit["reference"]["n"]) == (200, 50)

    run, debiased = _debias(page, home)
    assert debiased["steps"] == 2
    with urllib.request.urlopen(f"{address}tiw/{run.name}/model.zip") as answer:
        packed = zipfile.ZipFile(BytesIO(answer.read()))
    assert sorted(packed.namelist()) == sorted(str(f.relative_to(run)) for f in (run / "model").rglob("*") if f.is_file())

    compared = _compare(page, home)
    assert compared["n"] == 100
    _spot_check(page, home)

    page.reload()  # a closed page finds its runs again
    page.get_by_role("tab", name="Compare", exact=True).click()
    page.locator("#pairs .pair").first.wait_for(timeout=60_000)
    _delete_comparison(page, home)
    assert problems == []


@pytest.mark.skipif(AXE is None, reason="axe-core is not there: pip install axe-playwright-python")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1024, 1440])
def test_every_tab_is_readable_for_everyone(page: Any, address: str, width: int, scheme: str) -> None:
    """Contrast, names of controls, structure: no finding, and nothing scrolls sideways, also on a phone. The footer is Gradio's."""
    other = page.context.browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    other.goto(address)
    other.locator("#data-view", has_text="8,000").wait_for(timeout=90_000)
    other.evaluate(AXE.read_text())
    for tab in ("Data", "Audit", "Debias", "Compare", "Learn"):
        other.get_by_role("tab", name=tab, exact=True).click()
        other.wait_for_timeout(1500)
        assert other.evaluate(FOUND) == [], tab
        assert other.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
    other.close()


def test_without_a_model_one_is_trained_first(page: Any, home: Path, tmp_path: Path, problems: list[str]) -> None:
    for role, share in (("biased", 0.2), ("reference", 0.6)):
        np.savez(tmp_path / f"{role}.npz", images=blobs(60, share, seed=len(role)).images)
    _own(page, {role: tmp_path / f"{role}.npz" for role in ("biased", "reference")}, 60)
    page.get_by_role("tab", name="Debias", exact=True).click()
    page.locator("#train-go").wait_for()
    assert page.locator("#debias-go").is_disabled()
    page.get_by_label("Network").click()
    page.get_by_role("option", name="16×16").click()
    page.get_by_role("button", name="Advanced").locator("visible=true").first.click()
    _fill(page, "#train-steps", "2")
    page.locator("#train-go").click()
    _result(home, "train")
    page.get_by_text("Starts from the baseline trained here").wait_for(timeout=60_000)
    assert page.locator("#debias-go").is_enabled() and not page.locator("#train-go").is_visible()
    assert problems == []


def test_a_frame_is_named_mended_and_gone(page: Any, home: Path, tmp_path: Path, problems: list[str]) -> None:
    """By the button of the camera card; then the older audit is opened again, a selection moved, and a run deleted."""
    sets = {"biased": blobs(70, 0.2, 0).images, "reference": blobs(60, 0.6, 1).images}
    sets["biased"][:, :2] = 0
    for role, images in sets.items():
        np.savez(tmp_path / f"{role}.npz", images=images)
    _own(page, {role: tmp_path / f"{role}.npz" for role in sets}, 70)
    page.get_by_role("tab", name="Audit", exact=True).click()
    page.get_by_role("button", name="Advanced").locator("visible=true").click()
    page.get_by_label("Draw the map").uncheck()
    before = _audit_again(page, home)
    assert "borders alone" in page.locator("#audit-camera").inner_text().lower()

    page.locator("#even-out-go").click()
    fixed = _result(home, "even-out")
    assert any("cropped" in step for step in fixed["steps"])
    made = _newest(home, "even-out")
    page.locator("#even-out-result", has_text="cropped").wait_for()
    page.locator("#even-out-load").click()
    page.get_by_role("tab", name="Data", exact=True).click()
    for role in sets:
        _until(
            lambda role=role: page.locator(f"#{role}-path").get_by_role("textbox").input_value() == f"run:{made.name}/{role}.parquet", 20
        )
    page.get_by_role("tab", name="Audit", exact=True).click()
    after = _audit_again(page, home)
    names = [{suspect["name"] for suspect in json.loads((run / "result.json").read_text())["camera"]} for run in (before, after)]
    assert "borders" in names[0] and "borders" not in names[1]

    _fill_range(page, 1, 1e9)
    page.locator("#explorer [data-reference]").click()
    page.get_by_role("tab", name="Data", exact=True).click()
    moved = page.locator("#biased-path").get_by_role("textbox")
    _until(lambda: moved.input_value().endswith("biased.json"), 60)
    page.locator("#data-view", has_text="biased.json").wait_for()

    _runs(page)
    page.evaluate(SLOW_ANSWER, before.name)
    for run, fixable in ((before, "visible"), (after, "hidden"), (before, "visible"), (after, "hidden")):
        page.locator(f"[data-action=open][data-run='{run.name}']").click()
        page.locator("#even-out-go").wait_for(state=fixable)
    page.wait_for_timeout(2500)  # the explorer's answers of the older audit have come by now, and are not drawn
    assert f"/{after.name}/" in page.locator("#explorer .thumb").first.get_attribute("style")
    page.locator(f"[data-action=open][data-run='{before.name}']").click()
    page.locator("#even-out-go").wait_for()
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator(f"[data-action=delete][data-run='{before.name}']").click()
    page.get_by_text("No audit yet").wait_for()
    assert not before.exists() and problems == []


def test_a_client_can_do_what_the_page_can(address: str) -> None:
    client = gradio_client.Client(address, verbose=False)
    found = client.predict(references=50, api_name="/load_images")
    assert (found["biased"]["n"], found["reference"]["n"], found["problems"]) == (8000, 50, [])
    for refused in ({"references": -1, "api_name": "/audit"}, {"run": "0" * 32, "api_name": "/run_status"}):
        with pytest.raises(gradio_client.exceptions.AppError):
            client.predict(**refused)


def test_a_run_is_reached_by_its_exact_id_only(address: str, home: Path) -> None:
    (home / "hidden").mkdir()
    (home / "hidden" / "result.json").write_text("{}")
    for path in (
        "tiw/..%2fhidden/result.json",
        "tiw/0123/result.json",
        f"tiw/{'0' * 32}/result.json",
        f"gradio_api/file={home}/hidden/result.json",
        f"gradio_api/file={home}/secret",  # the app's own
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address + path)
        assert refused.value.code in (403, 404)
        refused.value.close()


def _audit(page: Any, home: Path) -> dict:
    page.get_by_role("tab", name="Audit", exact=True).click()
    page.get_by_role("button", name="Advanced").locator("visible=true").click()
    _fill(page, "#audit-scored", "200")
    page.get_by_label("Draw the map").uncheck()
    page.get_by_label("Score all images").uncheck()
    page.locator("#audit-go").click()
    result = _result(home, "audit")
    page.locator("#audit-verdict", has_text="200 of 8,000").wait_for(timeout=60_000)  # what ships with the app was on screen before
    page.locator("#explorer [data-drawn]", has_text="250 of").wait_for(timeout=60_000)
    assert result["verdict"]["sentence"] in page.locator("#audit-verdict").inner_text()

    levels = page.locator("#explorer [data-strip] button")
    levels.first.wait_for()
    assert levels.count() == len(result["levels"])
    page.locator("#explorer [data-trust] summary").click()
    before = page.locator("#explorer [data-tiles]").inner_text()
    page.locator("#explorer input[type=range]").evaluate("s => { s.value = s.max; s.dispatchEvent(new Event('input')); }")
    last = result["levels"][-1]
    assert float(page.locator("#explorer [data-sigma]").inner_text()) == pytest.approx(last["sigma"], rel=0.06)
    after = page.locator("#explorer [data-tiles]").inner_text()
    assert after != before and f"{last['auc']['value']:.2f}" in after
    page.locator("#explorer .thumb").first.click()
    assert page.locator("#explorer .thumb[aria-pressed=true]").count() == 1
    panel = page.locator("#explorer [data-panel]")
    panel.get_by_role("button", name="Next →").click()
    assert page.locator("#explorer .thumb").nth(1).get_attribute("aria-pressed") == "true"
    panel.get_by_label("Tags").fill("odd")
    panel.get_by_label("Tags").press("Enter")
    page.get_by_role("button", name="Tagged (1)").wait_for()
    panel.get_by_role("button", name="Close the panel").click()
    page.locator("#explorer [data-histogram]").evaluate("chart => chart.emit('plotly_click', { points: [{ pointIndex: 9 }] })")
    assert panel.is_visible() and page.get_by_role("button", name=re.compile(r"Selection \([1-9]")).get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert not panel.is_visible()
    _select(page, home)
    return result


def _own(page: Any, paths: dict[str, Path], n: int) -> None:
    """Load these sets, of which the biased one has `n` images."""
    page.get_by_role("tab", name="Data", exact=True).click()
    page.get_by_label("My own images").check()
    for role, path in paths.items():
        page.locator(f"#{role}-path").get_by_role("textbox").fill(str(path))
    page.get_by_role("button", name="Load my images").click()
    page.locator("#data-view", has_text=f"{n} images · 16×16 pixels").wait_for()


def _audit_again(page: Any, home: Path) -> Path:
    """One more audit, with the fields as they are; its run, once the page shows it."""
    known = _newest(home, "audit")
    page.locator("#audit-go").click()
    _until(lambda: _newest(home, "audit") != known, 60)
    result = _result(home, "audit")
    shown = f"of “{result['biased']['name']}”"
    page.locator("#audit-verdict", has_text=shown).wait_for()
    page.locator("#explorer [data-strip] button").first.wait_for()
    return _newest(home, "audit")


def _fill_range(page: Any, low: float, high: float) -> None:
    """Select by keyboard the images with a ratio in this range."""
    for name, value in (("from", low), ("to", high)):
        page.locator(f"#explorer [data-{name}]").fill(str(value))
    page.locator("#explorer [data-to]").press("Enter")


def _select(page: Any, home: Path) -> None:
    """By keyboard: every image the reference set shows more often, at the level on screen."""
    scores = pd.read_parquet(_newest(home, "audit") / "scores.parquet")
    wanted = scores[scores.filter(like="log_ratio_").iloc[:, -1].round(3) >= 0]  # the browser has three digits
    _fill_range(page, 1, 1e9)
    with page.expect_download() as download:
        page.locator("#explorer [data-csv=selection]").click()
    assert set(pd.read_csv(download.value.path())["item"]) == set(wanted["item"])


def _debias(page: Any, home: Path) -> tuple[Path, dict]:
    page.get_by_role("tab", name="Debias", exact=True).click()
    page.get_by_role("button", name="Advanced").locator("visible=true").click()
    page.get_by_label("Choose the strength automatically").uncheck()
    _fill(page, "#debias-steps", "2")
    _fill(page, "#debias-batch", "16")
    page.locator("#debias-go").click()
    result = _result(home, "debias")
    page.locator("#debias-numbers", has_text="2 steps of training").wait_for(timeout=60_000)
    assert "of 2" in page.locator("#debias-numbers .tile", has_text="Step").first.inner_text()
    return _newest(home, "debias"), result


def _compare(page: Any, home: Path) -> dict:
    page.get_by_role("tab", name="Compare", exact=True).click()
    _fill(page, "#compare-count", "100")
    page.locator("#compare-go").click()
    result = _result(home, "compare")
    page.locator("#compare-numbers", has_text="n = 100 each").wait_for(timeout=60_000)
    page.locator("#pairs", has_text="100 pairs").wait_for(timeout=60_000)
    assert f"{result['fairness_discrepancy']['debiased']['value']:.3f}" in page.locator("#compare-numbers").inner_text()
    assert page.locator("#pairs .pair").count() == 24
    page.get_by_role("button", name="Next →").click()
    assert page.locator("#pairs .pair").first.inner_text().startswith("seed 24")
    return result


def _spot_check(page: Any, home: Path) -> None:
    """By keyboard alone: begin, a key an image, one taken back, on after a reload, into the report."""
    page.locator("#spot [data-size]").select_option("100")
    page.locator("#spot [data-begin]").focus()
    page.keyboard.press("Enter")
    page.locator("#spot .spot-image").wait_for()
    for key in ("0", "Backspace", *"1234" * 6):
        page.keyboard.press(key)
    page.locator("#spot", has_text="24 of 100 labelled").wait_for()
    sheet = _newest(home, "compare") / "spot_check.csv"
    _until(lambda: sum(1 for line in sheet.read_text().splitlines()[1:] if not line.endswith(",")) == 24, 20)
    page.reload()
    page.get_by_role("tab", name="Compare", exact=True).click()
    page.locator("#spot", has_text="24 of 100 labelled").wait_for()
    page.wait_for_timeout(3000)  # a page that has just been opened may draw this anew, and the focus is gone
    page.locator("#spot section").focus()
    page.keyboard.press("Enter")
    page.locator("#spot table").wait_for()
    assert "a person labelled 24 debiased samples" in (_newest(home, "compare") / "report.html").read_text()


def _delete_comparison(page: Any, home: Path) -> None:
    run = _newest(home, "compare")
    _runs(page)
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator(f"[data-action=delete][data-run='{run.name}']").click()
    _until(lambda: not run.exists(), 60)


def _runs(page: Any) -> None:
    """Open the list of runs, unless an earlier test left it open."""
    table = page.locator("#runs table")
    if not table.is_visible():
        page.get_by_role("button", name="Runs").click()
    table.wait_for()


def _fill(page: Any, where: str, value: str) -> None:
    number = page.locator(f"{where} input[type=number]")

    def holds() -> bool:  # a tab opened for the first time may put its own value back within the first moments
        number.fill(value)
        number.press("Tab")
        page.wait_for_timeout(500)
        return number.input_value() == value

    _until(holds, 60)


def _newest(home: Path, kind: str) -> Path | None:
    there = [path.parent for path in (home / "runs").glob("*/status.json")]  # written after config.json
    runs = [run for run in there if json.loads((run / "config.json").read_text())["kind"] == kind]
    return max(runs, key=lambda run: run.stat().st_ctime, default=None)


def _result(home: Path, kind: str, seconds: float = 400) -> dict:
    """The run's result.json once it has finished; its own words if it fails."""
    _until(lambda: _newest(home, kind) is not None, 60)
    run = _newest(home, kind)

    def ended() -> bool:
        status = json.loads((run / "status.json").read_text())
        assert status["state"] not in ("failed", "stopped", "interrupted"), f"{status['message']}\n{(run / 'log.txt').read_text()[-2000:]}"
        return status["state"] == "finished"

    _until(ended, seconds)
    return json.loads((run / "result.json").read_text())


def _until(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.2)
