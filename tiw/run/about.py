"""What only the user knows of a report: a small TOML file, one sentence a key."""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import UserInputError

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


def read_about(path: str | Path) -> dict[str, str]:
    """What the TOML file says. Raises UserInputError for a file that cannot be read, and for a key that no field has."""
    try:
        raw = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserInputError("about", f"{path} cannot be read ({error})", "give a TOML file, one KEY = 'text' a line") from error
    if unknown := [key for key in raw if key not in ABOUT]:
        raise UserInputError("about", f"{path} has the key {unknown[0]!r}", f"known are {', '.join(ABOUT)}")
    return {key: str(value) for key, value in raw.items()}
