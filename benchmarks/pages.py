"""Put every table of results into the page that shows it, between `<!-- mark -->` and `<!-- end -->`.

    python benchmarks/pages.py        # after a script of this folder has written new results

A test holds the pages to what this would write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def tables() -> dict[str, dict[str, Callable[[], str]]]:
    """page -> mark -> what makes its table from the committed results."""
    import auto
    import compare
    import defaults
    import demo_loop
    import faults
    import figures
    import headline
    import imperfect
    import interval_coverage
    import large_images
    import own_images
    import probe
    import residual
    import step

    return {
        "README.md": {"headline": headline.table},
        "docs/RESULTS.md": {
            "loop": demo_loop.table,
            "loop ends": demo_loop.table_of_ends,
            "step": step.table,
            "compare": compare.table,
            "large images": large_images.table,
            "demo, summary": figures.summary,
            **{f"{setting}, {minutes:g} minutes": lambda s=setting, m=minutes: figures.table(s, m) for setting, minutes in figures.TABLES},
            "defaults": defaults.table,
            "auto": auto.table,
            "summary": defaults.summary,
            "imperfect": imperfect.table,
            "own images": own_images.table,
            "coverage": interval_coverage.table,
            "outside": interval_coverage.table_outside,
            "residual": residual.table,
            "probe": probe.table,
        },
        "docs/SERVING.md": {"faults": faults.table},
    }


def as_table(rows: list[tuple[str, ...]]) -> str:
    """Rows of cells as Markdown, the first one the head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def with_table(page: str, mark: str, table: str) -> str:
    """The page with this table at its mark."""
    before, after = page.split(f"<!-- {mark} -->\n")
    return f"{before}<!-- {mark} -->\n{table}\n{after[after.index('<!-- end -->') :]}"


def pages() -> Iterator[tuple[Path, str]]:
    """Every page with tables, and its text as the committed results have it."""
    for name, of_page in tables().items():
        text = (ROOT / name).read_text(encoding="utf-8")
        for mark, table in of_page.items():
            text = with_table(text, mark, table())
        yield ROOT / name, text


if __name__ == "__main__":
    for path, text in pages():
        path.write_text(text, encoding="utf-8")
