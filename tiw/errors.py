"""The one error that a user can cause."""

from __future__ import annotations


class UserInputError(ValueError):
    """Bad input, in one sentence: which field, what was found there, and what to do about it."""

    def __init__(self, field: str, found: str, fix: str):
        self.field, self.found, self.fix = field, found, fix
        super().__init__(f"{field}: {found}; {fix}")
