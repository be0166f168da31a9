"""Take the README's pictures from the real page, with everything computed: about ten minutes on 2 CPU cores.

make screenshots; with --home, finished runs that are there already are shown instead of computed again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
MARGIN = 16  # pixels above and below a picture's elements
FLAGS = ["--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"]


def state(home: Path, kind: str) -> str:
    """Of the newest run of this kind; empty if there is none."""
    configs = [path for path in (home / "runs").glob("*/config.json") if json.loads(path.read_text())["kind"] == kind]
    newest = max(configs, key=lambda path: path.stat().st_mtime, default=None)
    return json.loads((newest.parent / "status.json").read_text())["state"] if newest else ""


def finish(page: Page, home: Path, kind: str, button: str, seconds: float = 3600) -> None:
    """Press the button unless such a run is there, and wait for its end and for the page to show it."""
    if state(home, kind) != "finished":
        page.locator(button).click()
    end = time.monotonic() + seconds
    while (now := state(home, kind)) != "finished":
        assert now not in ("failed", "stopped", "interrupted") and time.monotonic() < end, (kind, now)
        time.sleep(1)
    page.wait_for_timeout(5000)


def shoot(page: Page, name: str, first: str, last: str) -> None:
    """The page from the top of one element to the bottom of another."""
    page.mouse.move(0, 0)
    boxes = [page.locator(where).locator("visible=true").first.bounding_box() for where in (first, last)]
    scrolled = page.evaluate("window.scrollY")
    top, bottom = boxes[0]["y"] + scrolled - MARGIN, boxes[1]["y"] + boxes[1]["height"] + scrolled + MARGIN
    clip = {"x": 0, "y": max(0, top), "width": page.viewport_size["width"], "height": bottom - max(0, top)}
    image = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip))).convert("RGB")
    image.save(ROOT / "docs" / f"{name}.webp", quality=82, method=6)
    print(f"docs/{name}.webp {image.size}")


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    page.wait_for_timeout(1500)


def walk(page: Page, home: Path, steps: str) -> None:
    page.get_by_text("8,000", exact=True).wait_for()
    shoot(page, "data", ".tiw-header", "#data-view .tiw-table")
    open_tab(page, "Audit")
    finish(page, home, "audit", "#audit-go")
    page.locator("#explorer [data-colours]").select_option("ratio")
    page.wait_for_function("performance.getEntriesByType('resource').some(e => e.name.includes('sprite.webp'))")
    page.wait_for_timeout(2000)
    shoot(page, "audit", "#audit-verdict", "#explorer [data-thumbs]")
    open_tab(page, "Debias")
    finish(page, home, "preview", "#preview-go")
    page.get_by_role("button", name="Advanced").locator("visible=true").click()
    page.locator("#debias-steps input").fill(steps)
    page.get_by_role("button", name="Advanced").locator("visible=true").click()
    finish(page, home, "debias", "#debias-go")
    shoot(page, "debias", "#debias-numbers", "#debias-samples")
    open_tab(page, "Compare")
    finish(page, home, "compare", "#compare-go")
    shoot(page, "compare", "#compare-numbers", "#pairs .pair:nth-child(14)")


@contextmanager
def browsed(home: Path) -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of an app at work in `home`."""
    home.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    chromium = next(found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name)))
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "app.py", "--port", str(port), "--no-browser"]
    app = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TIW_HOME": str(home)})
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(address).close()
                break
            except urllib.error.URLError:
                time.sleep(0.5)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            yield browser, address
            browser.close()
    finally:
        app.terminate()
        app.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", default="300", help="of fine-tuning")
    parser.add_argument("--home", type=Path, help="folder that keeps the runs; default: a temporary one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = (args.home or Path(folder)).resolve()
        with browsed(home) as (browser, address):
            page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5)
            page.goto(address)
            walk(page, home, args.steps)


if __name__ == "__main__":
    main()
