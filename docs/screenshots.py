"""Take the README's pictures from the real page, with the finished example that ships with the app: `make screenshots`, a minute."""

from __future__ import annotations

import io
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
PATIENCE = 120_000  # milliseconds
FLAGS = ["--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"]


def shoot(page: Page, name: str, first: str, last: str) -> None:
    """The page from the top of one element to the bottom of another."""
    page.mouse.move(0, 0)
    boxes = [page.locator(where).locator("visible=true").first.bounding_box() for where in (first, last)]
    scrolled = page.evaluate("window.scrollY")
    top, bottom = boxes[0]["y"] + scrolled - MARGIN, boxes[1]["y"] + boxes[1]["height"] + scrolled + MARGIN
    clip = {"x": 0, "y": max(0, top), "width": page.viewport_size["width"], "height": bottom - max(0, top)}
    image = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip))).convert("RGB")
    image.save(ROOT / "docs" / f"{name}.webp", quality=78, method=6)
    print(f"docs/{name}.webp {image.size}")


def open_tab(page: Page, name: str, there: str) -> None:
    """Open a tab and wait for what stands there once it is shown."""
    page.get_by_role("tab", name=name, exact=True).click()
    page.locator(there).first.wait_for(state="attached")
    page.wait_for_timeout(1500)


def walk(page: Page) -> None:
    page.get_by_text("8,000", exact=True).wait_for()
    page.add_style_tag(content="[id$=-next] { position: static !important; }")  # they float over what lies below the window
    shoot(page, "data", ".tiw-header", "#data-view .tiw-two")
    open_tab(page, "Audit", "#explorer [data-map] .main-svg")
    page.wait_for_function("performance.getEntriesByType('resource').some(e => e.name.includes('sprite.webp'))")
    page.wait_for_timeout(2000)
    shoot(page, "audit", "#audit-verdict", "#explorer .ex-two")
    open_tab(page, "Debias", "#debias-samples img")
    shoot(page, "debias", ".tiw-panel:has(#debias-uses)", "#debias-samples")
    open_tab(page, "Compare", "#pairs .pair")
    shoot(page, "compare", "#compare-numbers", "#pairs .pair:nth-child(14)")


@contextmanager
def browsed(home: Path, *arguments: str) -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of an app at work in `home`, started with these arguments."""
    home.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    chromium = next(found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name)))
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "app.py", "--port", str(port), "--no-browser", *arguments]
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
    with tempfile.TemporaryDirectory() as home, browsed(Path(home)) as (browser, address):
        page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5)
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        walk(page)


if __name__ == "__main__":
    main()
