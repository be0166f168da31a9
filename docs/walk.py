"""Walk every tab of the real page, with the finished example in it, at three widths, light and dark; leave pictures, say what is wrong.

python docs/walk.py OUT. Ends with 1 for a serious finding of axe-core, a page that scrolls sideways, a script error, or a tab that shows
nothing.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from screenshots import PATIENCE, browsed

WIDTHS = ((1440, 900), (1024, 800), (390, 844))
# Each tab, and what stands there once it is shown.
TABS = {
    "Data": "#data-view img",
    "Audit": "#explorer .thumb",
    "Debias": "#debias-samples img",
    "Compare": "#pairs .pair",
    "Learn": "#learn-lesson",
}
SERIOUS = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .filter((found) => ["serious", "critical"].includes(found.impact))
  .map((found) => `${found.id}: ${found.nodes.length} times, first ${found.nodes[0].html.slice(0, 160)}`)"""


def main() -> int:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as home, browsed(Path(home)) as (browser, address):
        for width, height in WIDTHS:
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.set_default_timeout(PATIENCE)
                page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
                page.goto(address)
                for tab, there in TABS.items():
                    page.get_by_role("tab", name=tab).click()
                    page.locator(there).first.wait_for(state="attached")
                    page.wait_for_timeout(2000)
                    where = f"{width} {scheme} {tab}"
                    page.screenshot(path=out / f"{where.replace(' ', '-')}.png", full_page=True)
                    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                        wrong.append(f"{where}: scrolls sideways")
                    page.evaluate(axe)
                    wrong.extend(f"{where}: {found}" for found in page.evaluate(SERIOUS))
                page.close()
    print("\n".join(wrong) or "Nothing is wrong.")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
