"""An option described once, beside its default: its help, range and words, used by command line, checks, API and page.

@dataclass(frozen=True)
class Options(Checked):
    steps: int = option(60, "Number of steps.", low=1, high=10_000_000)
"""

from __future__ import annotations

import math
import re
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from .errors import UserInputError

LONGEST_TEXT = 4096  # characters


@dataclass(frozen=True)
class Described:
    """What is known of one option beside its name and default."""

    help: str
    low: float = -math.inf  # the least that it may be
    high: float = math.inf  # the most
    open_low: bool = False  # must lie above `low`
    open_high: bool = False  # must lie below `high`
    choices: tuple[str, ...] = ()
    pattern: str = ""  # of its text
    rule: str = ""  # the pattern in words
    unit: str = ""

    @property
    def sentence(self) -> str:
        """The help with what the option may be."""
        if self.choices:
            return f"{self.help} {', '.join(self.choices[:-1])} or {self.choices[-1]}."
        if self.rule:
            return f"{self.help} {self.rule if self.help.endswith(':') else self.rule[0].upper() + self.rule[1:]}."
        return self.help


def option(default: Any, help: str, **about: Any) -> Any:
    """A dataclass field with its description; `about` are fields of Described."""
    return field(default=default, metadata={"described": Described(help, **about)})


def described(options: type) -> dict[str, Described]:
    """The description of each field of a dataclass that has one."""
    return {f.name: f.metadata["described"] for f in fields(options) if "described" in f.metadata}


class Checked:
    """A dataclass whose described fields are checked when one is made, in Python, by a command and by the page."""

    def __post_init__(self) -> None:
        """Raises UserInputError for the first field of the wrong type or out of range."""
        for f in fields(self):  # whoever inherits is a dataclass
            if "described" in f.metadata and f.default is not MISSING:
                check(f.name, getattr(self, f.name), f.default, f.metadata["described"])


def check(name: str, value: object, default: object, about: Described) -> None:
    """Raise UserInputError where a value has another type than its default, or is not what the description allows."""
    if not (type(value) is type(default) or (isinstance(default, float) and type(value) is int)):
        kind = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false"}.get(type(default).__name__, "")
        raise UserInputError(name, f"it is {str(value)[:60]!r}", f"give {'a ' * (kind in ('whole number', 'number'))}{kind}")
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT or "\0" in value or "\n" in value:
            found = f"it has {len(value):,} characters" if len(value) > LONGEST_TEXT else "it holds a line break or a null character"
            raise UserInputError(name, found, f"give one line of at most {LONGEST_TEXT:,} characters")
        if about.choices and value not in about.choices:
            raise UserInputError(name, f"it is {value[:60]!r}", f"choose one of {', '.join(about.choices)}")
        if about.pattern and not re.fullmatch(about.pattern, value):
            raise UserInputError(name, f"it is {value[:60]!r}", f"give {about.rule}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low = value > about.low if about.open_low else value >= about.low
        high = value < about.high if about.open_high else value <= about.high
        if not (low and high and (isinstance(value, int) or math.isfinite(value))):
            raise UserInputError(name, f"it is {value!s:.30}", f"give {_range(about)}")


def _range(about: Described) -> str:
    low = f"{'above' if about.open_low else 'from'} {about.low:,g}" if about.low > -math.inf else ""
    high = f"{'below' if about.open_high else 'to' if low.startswith('from') else 'up to'} {about.high:,g}" if about.high < math.inf else ""
    joint = " and " if low.startswith("above") or high.startswith("below") else " "
    return f"a finite number {joint.join(filter(None, (low, high)))}".rstrip()
