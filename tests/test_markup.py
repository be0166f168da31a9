"""Labels, class folders and file names that are HTML, tried in a browser: Data tab, audit, chart legend, hover, report."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import closing
from pathlib import Path

import pytest
from conftest import blobs
from PIL import Image
from served import Visitor, studio

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
FLAGS = ["--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking", "--no-first-run"]
HOSTILE = (
    "<img src=x onerror=window.pwned=1>",
    "<b onmouseover=window.pwned=2>",
    '"><svg onload=window.pwned=3>',
    "<a href=javascript&colon;pwned=4>",
)

pytestmark = [pytest.mark.page, pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")


def test_no_name_is_ever_markup(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for role, share in (("biased", 0.2), ("reference", 0.6)):
        folder(tmp_path / f"{role} {HOSTILE[0]}", share)
    paths = [str(tmp_path / f"{role} {HOSTILE[0]}") for role in ("biased", "reference")]
    with studio(home, child="") as address, closing(Visitor(address)) as client, sync_api.sync_playwright() as playwright:
        run = client.api("audit", biased=paths[0], reference=paths[1], baseline="none", scored=60, map=False, score_all=False)
        while (status := client.api("run_status", run=run))["state"] in ("queued", "running"):
            time.sleep(0.5)
        assert status["state"] == "finished", status
        assert any(HOSTILE[1] in str(row) for row in status["result"]["shares"]), "the labels did not get through: nothing is tried"

        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(60_000)
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
        browser.close()
        text = json.dumps(client.http.get(f"/tiw/{run}/explorer.json").json())
        assert HOSTILE[1] in text  # the labels are data to the end: the browser writes them as text


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
