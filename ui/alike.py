"""What is the same for everybody is made once and kept in memory: Gradio's files and, where nobody can log in, the page itself."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
from collections import OrderedDict
from collections.abc import Callable

FILES = re.compile(r"/(assets|static|svelte)/|/theme\.css$")
BY_CONTENT = "/assets/"  # another content has another name there
TEXT = re.compile(rb"text/|.*(javascript|json|svg)")
OURS = re.compile(rb"(run|__theme|__sign)=[^&]*(&(run|__theme|__sign)=[^&]*)*|")  # in the page's address, and without effect on what it is
OF_ADDRESS = {b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server"}  # Gradio makes the addresses in its page from them
MOST, LARGEST = 64 << 20, 8 << 20  # bytes: in all, and of one answer

Headers = list[tuple[bytes, bytes]]


class Alike:
    """ASGI app before another one. Thirty browsers that open the page ask for 2,600 files, each of which costs Gradio two milliseconds of
    a core."""

    def __init__(self, app: Callable):
        self.app = app
        self._kept: OrderedDict[tuple, tuple[Headers, bytes]] = OrderedDict()
        self._size = 0
        self._making = asyncio.Lock()  # thirty who ask for the same at once have it made once

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        key = _key(scope) if scope["type"] == "http" else None  # the start and the end of the app pass here too
        if key is None:
            await self.app(scope, receive, send)
            return
        if key not in self._kept:
            async with self._making:
                if key not in self._kept and not await self._make(key, scope, receive, send):
                    return
        headers, body = self._kept[key]
        self._kept.move_to_end(key)
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    async def _make(self, key: tuple, scope: dict, receive: Callable, send: Callable) -> bool:
        """Have it made, and keep it. What is no plain, finished answer is passed on as it is: then False."""
        said: list[dict] = []

        async def listen(message: dict) -> None:
            said.append(message)

        await self.app(scope, receive, listen)
        headers = dict(said[0].get("headers", []))
        body = b"".join(message.get("body", b"") for message in said[1:])
        if said[0].get("status") != 200 or b"set-cookie" in headers or b"content-encoding" in headers or len(body) > LARGEST:
            for message in said:
                await send(message)
            return False
        if TEXT.match(headers.get(b"content-type", b"")):
            body = gzip.compress(body, 6)
            headers |= {b"content-encoding": b"gzip", b"vary": b"Accept-Encoding"}
        if scope["path"].startswith(BY_CONTENT):
            headers |= {b"cache-control": b"public, max-age=31536000, immutable"}
        self._kept[key] = list((headers | {b"content-length": str(len(body)).encode()}).items()), body
        self._size += len(body)
        while self._size > MOST:
            self._size -= len(self._kept.popitem(last=False)[1][1])
        return True


def _key(scope: dict) -> tuple | None:
    """What this answer depends on; None where it may be somebody's own, or only a part is asked for."""
    headers = dict(scope["headers"])
    partly = {b"range", b"if-none-match", b"if-modified-since"} & set(headers)
    if scope["method"] != "GET" or partly or b"gzip" not in headers.get(b"accept-encoding", b""):
        return None
    if FILES.match(scope["path"]):
        return (scope["path"],)
    if scope["path"] != "/" or not OURS.fullmatch(scope.get("query_string", b"")) or _can_log_in(scope):
        return None
    named = tuple((name, value) for name, value in scope["headers"] if name in OF_ADDRESS)
    return "/", scope.get("scheme"), scope.get("root_path"), named


def _can_log_in(scope: dict) -> bool:
    return getattr(scope.get("app"), "auth", None) is not None or bool(os.environ.get("OAUTH_CLIENT_ID"))
