"""What is the same for everybody is made once and kept in memory: Gradio's files and, where nobody can log in, the page itself."""

from __future__ import annotations

import asyncio
import gzip
import os
import posixpath
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FILES = re.compile(r"/(assets|static|svelte)/|/theme\.css$")
BY_CONTENT = "/assets/"  # another content has another name there
TEXT = re.compile(rb"text/|.*(javascript|json|svg)")
TAKES_GZIP = re.compile(rb"(?:^|,)\s*gzip\s*(?:,|$)")  # whoever weighs it against others is answered by Gradio
OURS = re.compile(rb"(run|__theme|__sign)=[^&]*(&(run|__theme|__sign)=[^&]*)*|")  # in the page's address, and without effect on what it is
OF_ADDRESS = {b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server"}  # Gradio makes the addresses in its page from them
MOST, LARGEST = 64 << 20, 8 << 20  # bytes: in all, and of one answer
ENTRY = 2048  # bytes that an answer takes beside its body

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    """A whole answer with status 200."""

    headers: Headers
    body: bytes

    @property
    def size(self) -> int:
        return len(self.body) + ENTRY


class Alike:
    """ASGI app before another one. Thirty browsers that open the page ask for 2,600 files, each of which costs Gradio two milliseconds of
    a core."""

    def __init__(self, app: Callable):
        self.app = app
        self._kept: OrderedDict[tuple, Answer] = OrderedDict()
        self._size = 0
        self._making: dict[tuple, asyncio.Task[Answer | None]] = {}  # thirty who ask for the same at once have it made once

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        key = _key(scope) if scope["type"] == "http" else None  # the start and the end of the app pass here too
        answer = None if key is None else await self._answer(key, scope)
        if answer is None:
            await self.app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": list(answer.headers)})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, key: tuple, scope: dict) -> Answer | None:
        """As it is kept, or made now; None where it is none to keep. Made in a task of its own: whoever asked first may leave meanwhile."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._making:
            self._making[key] = asyncio.create_task(self._made(scope))
            self._making[key].add_done_callback(lambda task: self._keep(key, task))
        return await asyncio.shield(self._making[key])

    def _keep(self, key: tuple, task: asyncio.Task[Answer | None]) -> None:
        del self._making[key]
        answer = None if task.cancelled() or task.exception() is not None else task.result()
        if answer is not None:
            self._kept[key] = answer
            self._size += answer.size
        while self._size > MOST:
            self._size -= self._kept.popitem(last=False)[1].size

    async def _made(self, scope: dict) -> Answer | None:
        """Gradio's answer, whole and packed; None for one that is no plain file or too large."""
        said: list[dict] = []

        async def listen(message: dict) -> None:
            said.append(message)
            if not _can_be_kept(said):
                raise NotKeptError

        try:
            await self.app(scope, _asks(), listen)
        except Exception:
            if said and not _can_be_kept(said):  # wrapped in another one, or not
                return None
            raise
        headers, body = said[0]["headers"], b"".join(message.get("body", b"") for message in said[1:])
        told = dict(headers).get(b"content-length", str(len(body)).encode())
        if len(said) < 2 or said[-1].get("more_body") or int(told) != len(body):
            return None
        more = [(b"cache-control", b"public, max-age=31536000, immutable")] if scope["path"].startswith(BY_CONTENT) else []
        if TEXT.match(dict(headers).get(b"content-type", b"")):
            body = gzip.compress(body, 6)
            more += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
        more += [(b"content-length", str(len(body)).encode())]
        replaced = {name for name, _ in more} - {b"vary"}
        return Answer([pair for pair in headers if pair[0] not in replaced] + more, body)


class NotKeptError(Exception):
    """Stops the making of an answer that will not be kept."""


def _asks() -> Callable:
    """What a client sends that has no more to say and never leaves."""
    parts = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict:
        if not parts:
            await asyncio.Event().wait()
        return parts.pop()

    return receive


def _can_be_kept(said: list[dict]) -> bool:
    """By what has been heard of it so far."""
    headers = dict(said[0].get("headers", []))
    length = max(int(headers.get(b"content-length", 0)), sum(len(message.get("body", b"")) for message in said[1:]))
    return said[0].get("status") == 200 and not {b"set-cookie", b"content-encoding"} & set(headers) and length <= LARGEST


def _key(scope: dict) -> tuple | None:
    """What this answer depends on; None where it may be somebody's own, or only a part is asked for."""
    headers, path = dict(scope["headers"]), scope["path"]
    partly = {b"range", b"if-none-match", b"if-modified-since"} & set(headers)
    if scope["method"] != "GET" or partly or not TAKES_GZIP.search(headers.get(b"accept-encoding", b"")):
        return None
    if FILES.match(path):
        return (path,) if posixpath.normpath(path) == path else None  # a file has many names, and one that is kept
    if path != "/" or not OURS.fullmatch(scope.get("query_string", b"")) or _can_log_in(scope):
        return None
    named = tuple((name, value) for name, value in scope["headers"] if name in OF_ADDRESS)
    return "/", scope.get("scheme"), scope.get("root_path"), named


def _can_log_in(scope: dict) -> bool:
    return getattr(scope.get("app"), "auth", None) is not None or bool(os.environ.get("OAUTH_CLIENT_ID"))
