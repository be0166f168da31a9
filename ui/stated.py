"""What only the user knows of a comparison, asked for on the page; the report is made again with it."""

from __future__ import annotations

import json

from tiw.errors import UserInputError
from tiw.run import about, hand_on

from . import store


def value(run: store.Run) -> str:
    """What the component gets: an address; nothing for a run that nobody may change."""
    return "" if run.shipped else json.dumps({"base": f"tiw/{run.id}"})


def state(run: store.Run) -> dict:
    """Every question with its answer so far."""
    said, images = about.kept(run.path)
    return {"fields": [[key, question, said.get(key, "")] for key, question in about.ABOUT.items()], "images": images}


def answer(run: store.Run, body: object) -> dict:
    """Take the answers and make the report again. Raises UserInputError for what is not allowed."""
    if not isinstance(body, dict) or run.shipped or not run.done or run.kind != "compare":
        raise UserInputError("run", "it cannot be changed", "choose a finished comparison of your own")
    said, images = body.get("about"), body.get("images")
    if not isinstance(said, dict) or not all(isinstance(text, str) for text in said.values()) or type(images) is not bool:
        raise UserInputError("about", "it is not a text", "fill in the form")
    folder = store.own(run.id).folder
    hand_on.write_report(folder.path, hand_on.collect([folder.path]), about.checked(said), images)
    return state(run)
