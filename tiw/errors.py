"""The one error that a user can cause."""

from __future__ import annotations

from collections.abc import Mapping


class UserInputError(ValueError):
    """Bad input, in one sentence: which field, what was found there, and what to do about it.

    offers: options that would mend it, by name, for instance {"resolution": 64}: a page makes buttons of them, a command names them.
    """

    def __init__(self, field: str, found: str, fix: str, offers: Mapping[str, object] | None = None):
        self.field, self.found, self.fix, self.offers = field, found, fix, dict(offers or {})
        super().__init__(f"{field}: {found}; {fix}")
