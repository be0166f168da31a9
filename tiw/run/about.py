"""What only the user knows of a report: a small TOML file or the page's form, one sentence a key; kept beside the report."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..errors import UserInputError
from ..files import Unreadable, read_json, write_atomic
from . import names

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NOT_STATED = "Not stated."
ABOUT = {  # what the TOML file may say, and the question that it answers
    "purpose": "What the model is for",
    "intended_use": "Intended use",
    "out_of_scope": "Out of scope",
    "auditor": "Who audited",
    "independence": "How independent the auditor is",
    "origin": "Where the images come from",
    "licence": "Licence of the images",
    "consent": "Consent of the people shown",
    "preparation": "How the images were prepared",
    "reference_chosen_by": "Who chose the reference set",
    "reference_reason": "Why it is the target",
    "reference_gaps": "What the reference set lacks",
    "groups_note": "How the groups are defined",
    "alternatives": "Alternatives that were tried",
    "reliance": "Who may rely on this report, and for what",
    "next_audit": "When to audit again",
}


LONGEST = 2000  # characters of an answer


def read_about(path: str | Path) -> dict[str, str]:
    """What the TOML file says. Raises UserInputError for a file that cannot be read, and for a key that no field has."""
    try:
        raw = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserInputError("about", f"{path} cannot be read ({error})", "give a TOML file, one KEY = 'text' a line") from error
    return checked(raw, str(path))


def checked(raw: Mapping[str, object], place: str = "the form") -> dict[str, str]:
    """Answers by their keys, without the empty ones. Raises UserInputError for a key that no field has, and for a text too long."""
    if unknown := [key for key in raw if key not in ABOUT]:
        raise UserInputError("about", f"{place} has the key {unknown[0]!r}", f"known are {', '.join(ABOUT)}")
    said = {key: str(value).strip() for key, value in raw.items()}
    if long := [key for key, text in said.items() if len(text) > LONGEST]:
        raise UserInputError("about", f"{long[0]} has {len(said[long[0]]):,} characters", f"give at most {LONGEST:,}")
    return {key: text for key, text in said.items() if text}


def keep(folder: Path, about: Mapping[str, str], images: bool) -> None:
    """FOLDER/stated.json, so that a report that is made again says the same."""
    write_atomic(folder / names.STATED, (json.dumps({"about": dict(about), "images": images}, indent=1) + "\n").encode())


def kept(*folders: Path) -> tuple[dict[str, str], bool]:
    """What was said for the report in the first of these folders that has it, and whether it shows images: nothing and yes, where nobody
    said anything."""
    for folder in folders:
        with suppress(FileNotFoundError, Unreadable, UserInputError, AttributeError):
            raw = read_json(folder / names.STATED)
            return checked(raw["about"], names.STATED), bool(raw["images"])
    return {}, True
