"""Take the README's pictures from the real page, with everything computed: about ten minutes on 2 CPU cores.

make screenshots
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
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"]


def wait(home: Path, kind: str, seconds: float = 900) -> None:
    """Until the newest run of this kind has finished."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for config in (home / "runs").glob("*/config.json"):
            if json.loads(config.read_text())["kind"] == kind:
                status = json.loads((config.parent / "status.json").read_text())
                if status["state"] in ("finished", "failed"):
                    assert status["state"] == "finished", status["message"]
                    return
        time.sleep(1)
    raise TimeoutError(kind)


def shoot(page: Page, name: str) -> None:
    page.wait_for_timeout(2500)
    image = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    image.save(ROOT / "docs" / f"{name}.webp", quality=88)
    print(f"docs/{name}.webp {image.size}")


def walk(page: Page, home: Path, minutes: str) -> None:
    page.get_by_text("8,000", exact=True).wait_for()
    shoot(page, "data")
    page.get_by_role("tab", name="Audit", exact=True).click()
    page.locator("#audit-go").click()
    wait(home, "audit")
    shoot(page, "audit")
    page.get_by_role("tab", name="Debias", exact=True).click()
    number = page.locator("#debias-minutes input[type=number]")
    number.fill(minutes)
    number.press("Tab")
    page.get_by_role("button", name="Preview now").click()
    wait(home, "preview")
    page.locator("#debias-go").click()
    wait(home, "debias")
    shoot(page, "debias")
    page.get_by_role("tab", name="Compare", exact=True).click()
    page.locator("#compare-go").click()
    wait(home, "compare")
    shoot(page, "compare")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", default="2", help="of fine-tuning")
    args = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    chromium = next(found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        command = [sys.executable, "app.py", "--port", str(port), "--no-browser"]
        app = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TIW_HOME": folder})
        try:
            for _ in range(120):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/").close()
                    break
                except urllib.error.URLError:
                    time.sleep(0.5)
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"http://127.0.0.1:{port}/")
            walk(page, home, args.minutes)
            browser.close()
        finally:
            app.terminate()
            app.wait(20)


if __name__ == "__main__":
    main()
