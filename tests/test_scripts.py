"""The page's scripts: no line of code or comment is longer than a formatter's (text may be), no name stands for two things."""

import re
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "assets" / "app"
LONGEST = 120
PATTERN = re.compile(r"/(?:\\.|\[(?:\\.|[^\]])*\]|[^/\\])+/")


def code_lengths(text: str) -> list[int]:
    """Characters of each line outside of strings and templates, whose own `${...}` is code again."""
    lengths, inside = [0], []  # open quotes, templates and `${`, innermost last
    k = 0
    while k < len(text):
        here, two = text[k], text[k : k + 2]
        within = inside[-1] if inside else ""
        quoted = within in ("'", '"', "`")
        if here == "\n":
            lengths.append(0)
            if within in ("//", "'", '"'):  # a quote at a line's end was an apostrophe of a regular expression
                inside.pop()
        elif quoted and here == "\\":
            k += 1
        elif quoted and here == within:
            inside.pop()
        elif within == "`" and two == "${":
            inside.append("${")
            k += 1
        elif not quoted:
            lengths[-1] += 1
            if within == "//":
                pass
            elif here == "/" and two not in ("//", "/*") and text[:k].rstrip()[-1:] in "(,=:[!&|?{;":
                end = PATTERN.match(text, k).end()  # a pattern: its quotes are none
                lengths[-1] += end - k - 1
                k = end - 1
            elif two == "//":
                inside.append("//")
            elif here in "'\"`":
                inside.append(here)
            elif here == "{":
                inside.append("{")
            elif here == "}" and within in ("{", "${"):
                inside.pop()
        k += 1
    return lengths


def test_strings_do_not_count_and_code_does():
    assert code_lengths('a = "xxxx";\nb = `y${c + `z`}y`; // it\'s') == [6, 20]
    assert code_lengths("x.replace(/[/\"]'/g, `long`);") == [23]
    assert code_lengths("f({ a: `${g({})}` })\n'\nx") == [17, 1, 1]


@pytest.mark.parametrize("path", sorted(SCRIPTS.rglob("*.js")), ids=lambda path: path.name)
def test_no_line_of_a_script_is_longer_than_a_formatters(path):
    """`npx prettier --print-width 120 --write assets/app` does it."""
    lines = path.read_text(encoding="utf-8").split("\n")
    long = [k + 1 for k, n in enumerate(code_lengths("\n".join(lines))) if n > LONGEST]
    assert not long


def shadows(text: str) -> set[str]:
    """Names of the whole script that a function declares once more. The outer one cannot be reached there, not even lines before."""
    outer = re.findall(r"^(?:async )?(?:const|let|function\*?) (\w+)", text, re.MULTILINE)
    inner = re.findall(r"^ +(?:for \()?(?:const|let) (\w+)", text, re.MULTILINE)
    return set(outer) & set(inner)


def test_a_name_declared_once_more_is_found():
    assert shadows("function near(p) {}\nfunction draw(p) {\n  const found = near(p);\n  const near = found.map(String);\n}") == {"near"}
    assert shadows("const a = 1;\nfunction f() {\n  const b = a;\n}") == set()


# The explorer's files are one script on the page.
@pytest.mark.parametrize("files", ["explorer_*.js", *sorted(str(p.relative_to(SCRIPTS)) for p in SCRIPTS.rglob("*.js"))])
def test_no_function_declares_a_name_of_the_whole_script_again(files):
    paths = sorted(SCRIPTS.glob(files))
    assert paths and not shadows("\n".join(path.read_text(encoding="utf-8") for path in paths))
