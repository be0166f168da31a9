"""The body of a request: how long it may be, and what its JSON may hold."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import Callable
from itertools import accumulate

from . import gate

NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
BODY_SECONDS = 30.0  # that a body may take to come; an upload has a second more for every SLOWEST bytes
SLOWEST = 32 * 1024
STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class Refused(Exception):  # noqa: N818  (an answer, not an error)
    """A request that is answered here, with this status and sentence."""

    def __init__(self, status: int, sentence: str):
        self.status, self.sentence = status, sentence
        super().__init__(sentence)


def check_json(body: bytes) -> object:
    """What the body says. Raises Refused for what is not JSON, is nested too deeply, or holds a number that is not finite or a file that
    lies elsewhere."""
    brackets = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", body, flags=re.DOTALL).translate(None, NOT_BRACKETS)
    if max(accumulate(map(STEP.__getitem__, brackets)), default=0) > gate.DOOR.caps.depth:
        raise Refused(400, "The request is nested too deeply.")
    try:
        return json.loads(body, parse_constant=_no_number, parse_float=_number, parse_int=_whole_number, object_hook=_no_address)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "The request is not JSON that this app can read.") from error


def _no_number(_text: str) -> None:
    raise ValueError


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError
    return value


def _whole_number(text: str) -> int:
    if len(text) > 20:
        raise ValueError
    return int(text)


def _no_address(found: dict) -> dict:
    """A file of a visitor is one that they have uploaded: the server fetches none."""
    if isinstance(found.get("path"), str) and "://" in found["path"]:
        raise ValueError
    return found


def in_time(receive: Callable, seconds: float) -> Callable:
    """The body as it comes, all of it within this time."""
    end, ended = time.monotonic() + seconds, False

    async def next_part() -> dict:
        nonlocal ended
        if ended:  # what comes now is the news that the client has gone
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), end - time.monotonic())
        except asyncio.TimeoutError as late:
            raise Refused(408, "The request took too long to arrive: send it again.") from late
        ended = not message.get("more_body")
        return message

    return next_part


async def whole(receive: Callable, most: int) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The request ended early.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise Refused(413, f"The request is larger than {most:,} bytes.")
        if not message.get("more_body"):
            return b"".join(parts)


def again(body: bytes, receive: Callable) -> Callable:
    """The body that was read already, then whatever comes."""
    told = []

    async def first() -> dict:
        if not told:
            told.append(True)
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return first


def counted(receive: Callable, most: int) -> Callable:
    """The body as it comes, as long as it was said to be."""
    size = 0

    async def next_part() -> dict:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise Refused(413, "The upload is longer than it said.")
        return message

    return next_part
