"""Walk every tab of the real page at three widths, light and dark, its states, and the page of a public app; leave pictures, say what is
wrong.

python docs/walk.py OUT [--keep]. Ends with 1 for any finding of axe-core, a page that scrolls sideways, a script error, or a tab that shows
nothing. --keep: the pictures of docs/screens as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from itertools import product
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page
from screenshots import PATIENCE, ROOT, browsed

sys.path.insert(0, str(ROOT))
from tiw.run.folder import RunFolder
from tiw.run.options import AuditOptions, DebiasOptions
from ui import caps

ENDED = (("audit", AuditOptions()), ("debias", DebiasOptions()))

WIDTHS = ((1440, 900), (1024, 800), (390, 844))
SCHEMES = ("light", "dark")
OF_STATES = ((WIDTHS[0], "light"), (WIDTHS[-1], "dark"))
# Each tab, and what stands there once it is shown.
TABS = {
    "Data": "#data-view img",
    "Audit": "#explorer .thumb",
    "Debias": "#debias-samples img",
    "Compare": "#pairs .pair",
    "Learn": "#learn-lesson",
}
FOUND = """async () => (await axe.run({ exclude: ["footer"] }, { resultTypes: ["violations"] })).violations
  .map((found) => `${found.id}: ${found.nodes.length} times, first ${found.nodes[0].html.slice(0, 160)}`)"""
SHOWN = {1440: 480, 1024: 340, 390: 180}  # pixels that a picture of this width has in docs/screens
TALLEST = 1400  # pixels of such a picture; what stands further down is left out
GAP = 12


@dataclass
class Walk:
    """Where pictures go, and what was wrong."""

    out: Path
    axe: str = field(default_factory=lambda: (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    wrong: list[str] = field(default_factory=list)

    def look(self, page: Page, where: str, whole: bool) -> None:
        """A picture of the page, whole or what is on screen, and all that is wrong with it."""
        page.wait_for_timeout(1500)
        page.screenshot(path=self.picture(where), full_page=whole)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            self.wrong.append(f"{where}: scrolls sideways")
        page.evaluate(self.axe)
        self.wrong.extend(f"{where}: {found}" for found in page.evaluate(FOUND))

    def picture(self, where: str) -> Path:
        return self.out / f"{where.replace(' ', '-')}.png"


def tabs(page: Page) -> Iterator[str]:
    """Each tab with the finished example in it, by its name."""
    for tab, there in TABS.items():
        page.get_by_role("tab", name=tab).click()
        page.locator(there).first.wait_for(state="attached")
        yield tab


def states(page: Page) -> Iterator[str]:
    """What a page looks like where something is missing, wrong, at work or asked for, by its name."""
    page.get_by_label("My own images").check()
    for role in ("biased", "reference"):
        page.locator(f"#{role}-path").get_by_role("textbox").fill(f"/no/such/{role}")
    page.get_by_role("button", name="Load my images").click()
    page.locator(".tiw-error").first.scroll_into_view_if_needed()
    yield "wrong path"
    page.get_by_role("tab", name="Audit", exact=True).click()
    yield "nothing loaded"
    page.get_by_role("tab", name="Data", exact=True).click()
    page.get_by_label("Demo portraits").check()
    page.locator("#data-view", has_text="8,000").wait_for()
    page.get_by_role("tab", name="Audit", exact=True).click()
    page.locator("#audit-go").click()
    page.locator(".progress").locator("visible=true").first.wait_for()
    yield "at work"
    page.get_by_role("button", name="Stop").locator("visible=true").first.click()
    page.get_by_text("was stopped").locator("visible=true").first.wait_for()
    yield "stopped"
    page.get_by_role("tab", name="Learn", exact=True).click()
    lesson = page.locator("#learn-lesson")
    lesson.get_by_role("button", name="Start").click()
    lesson.get_by_role("button", name="Reveal").wait_for()
    yield "a prediction"
    lesson.get_by_role("button", name="Reveal").click()
    yield "its answer"
    lesson.get_by_role("button", name="Break it").click()
    lesson.locator(".learn-views").first.scroll_into_view_if_needed()
    yield "broken on purpose"
    page.get_by_role("button", name="Start the tour").click()
    yield "the tour"


def ended(home: Path) -> dict[str, str]:
    """Runs that came to no good end, by the name of what is seen then: their ids."""
    failed, interrupted = (RunFolder.create(home / "runs" / (letter * 32), *kind) for letter, kind in zip("fa", ENDED, strict=True))
    failed.write_status(state="failed", stage="Failed", message="The disk is full: delete old runs, then start this one again.")
    for step in range(1, 121):
        line = {
            "step": step,
            "steps": 600,
            "loss": 0.02 + 0.05 / step,
            "learning_rate": 1.5e-4,
            "images_per_second": 81.0,
            "seconds": step / 2,
        }
        interrupted.append("steps.jsonl", line)
    why = "The app was closed while this run was not finished. Resumed, it goes on from its checkpoint of step 100."
    interrupted.write_status(state="interrupted", stage="Interrupted", done=120, total=600, saved=100, message=why)
    return {"failed": failed.path.name, "interrupted": interrupted.path.name}


def strangers(page: Page) -> Iterator[str]:
    """A public app: what a stranger reads first, and one run too many."""
    page.locator("#data-view", has_text="8,000").wait_for()
    yield "public"
    page.get_by_role("tab", name="Audit", exact=True).click()
    for _ in range(caps.PUBLIC.waiting + 1):
        page.locator("#audit-go").click()
        page.wait_for_timeout(1500)
    page.get_by_text("have not finished").locator("visible=true").first.scroll_into_view_if_needed()
    yield "refused"


def sheet(rows: list[list[Path]], to: Path) -> None:
    """These pictures beside and below each other, each as wide as SHOWN says, in one."""
    drawn = [[small(path) for path in row] for row in rows]
    widths = [sum(image.width + GAP for image in row) - GAP for row in drawn]
    heights = [max(image.height for image in row) for row in drawn]
    out = Image.new("RGB", (max(widths), sum(heights) + GAP * (len(rows) - 1)), "#8a8a8a")
    top = 0
    for row, height in zip(drawn, heights, strict=True):
        left = 0
        for image in row:
            out.paste(image, (left, top))
            left += image.width + GAP
        top += height + GAP
    out.save(to, quality=72, method=6)


def small(path: Path) -> Image.Image:
    image = Image.open(path).convert("RGB")
    width = SHOWN[image.width]
    image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    return image.crop((0, 0, width, min(image.height, TALLEST)))


def opened(page: Page, name: str) -> Iterator[str]:
    """The tab of the run that the address names."""
    page.locator(".tiw-state .tiw-error").locator("visible=true").first.scroll_into_view_if_needed()
    yield name


def walked(browser: Browser, address: str, walk: Walk, known: dict, steps: Callable, size: tuple[int, int], scheme: str) -> None:
    """All steps of one walk in a window of this size."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: walk.wrong.append(f"script: {error}"))
    page.goto(address)
    for name in steps(page):
        known[name] = None
        walk.look(page, f"{size[0]} {scheme} {name}", whole=steps is tabs)
    page.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--keep", action="store_true", help="make the pictures of docs/screens too")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    walk, known = Walk(args.out), dict.fromkeys(TABS)
    with tempfile.TemporaryDirectory() as home, browsed(Path(home)) as (browser, address):
        walks = [(tabs, size, scheme) for size in WIDTHS for scheme in SCHEMES]
        for steps, size, scheme in [*walks, *((states, *how) for how in OF_STATES)]:
            walked(browser, address, walk, known, steps, size, scheme)
    with tempfile.TemporaryDirectory() as home:
        runs = ended(Path(home))
        with browsed(Path(home)) as (browser, address):
            for (name, run), how in product(runs.items(), OF_STATES):
                walked(browser, f"{address}?run={run}", walk, known, partial(opened, name=name), *how)
    with tempfile.TemporaryDirectory() as home, browsed(Path(home), "--public") as (browser, address):
        for how in OF_STATES:
            walked(browser, address, walk, known, strangers, *how)
    if args.keep:
        screens = ROOT / "docs" / "screens"
        screens.mkdir(exist_ok=True)
        for tab in TABS:
            sheet([[walk.picture(f"{width} {scheme} {tab}") for scheme in SCHEMES for width, _ in WIDTHS]], screens / f"{tab.lower()}.webp")
        named = [name for name in known if name not in TABS]
        of = [[walk.picture(f"{width} {scheme} {name}") for (width, _), scheme in OF_STATES] for name in named]
        sheet([[*of[k], *of[k + 1]] for k in range(0, len(of), 2)], screens / "states.webp")
    print("\n".join(walk.wrong) or "Nothing is wrong.")
    return bool(walk.wrong)


if __name__ == "__main__":
    sys.exit(main())
