"""Every request passes here before Gradio or a route of ours sees it: its name for us, its address, its visitor, its pace, its body."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from . import caps, gate, keeping
from .alike import Alike
from .bodies import BODY_SECONDS, SLOWEST, Refused, again, check_json, counted, in_time, whole

COOKIE = "tiw-visitor"
HEADER = b"x-tiw-visitor"  # the cookie's value, for clients that keep no cookies
YEAR = 365 * 24 * 3600
# What the page and a client ask for. Whatever else Gradio offers (files, proxies, streams, monitoring) is not there.
READ = re.compile(
    r"/(config/?|theme\.css|favicon\.ico|manifest\.json|robots\.txt|pwa_icon|assets/.*|static/.*|svelte/.*|login(/.*)?|logout/?|tiw/.*"
    r"|gradio_api/(info/?|openapi\.json|theme\.css|startup-events|app_id/?|user/?|login_check/?|upload_progress|heartbeat/[\w-]+"
    r"|queue/(data|status)|call/(v2/)?[\w-]+/\w+|mcp(/.*)?))?"
)
WRITE = re.compile(r"/(login/?|tiw/.*|gradio_api/(queue/join|call(/v2)?/[\w-]+|upload|cancel|reset/?|mcp(/.*)?))")
FREE = re.compile(r"/(assets|static|svelte)/|/tiw/health$|/favicon|/theme|/manifest|/pwa_icon")  # cheap, and the same for everyone
UPLOAD = "/gradio_api/upload"
SESSION = re.compile(r"/gradio_api/(?:heartbeat|call/(?:v2/)?[\w-]+)/([\w-]+)")  # where an address names one; an event may bear its name
MOST_PATH = 250  # bytes; no file of ours has a longer name, and no file system could look for one
CONTENT_POLICY = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; object-src 'none'; base-uri 'self'; form-action 'self'"


class Bucket:
    """For each key `rate` a second in the long run, and `burst` at once. Remembers the last 10,000 keys."""

    def __init__(self, rate: float, burst: float):
        self.rate, self.burst = rate, burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: float = 1.0) -> bool:
        now = time.monotonic()
        left, then = self._left.pop(key, (self.burst, now))
        left = min(self.burst, left + (now - then) * self.rate)
        allowed = left >= cost
        self._left[key] = (left - cost if allowed else left, now)
        if len(self._left) > 10_000:
            self._left.popitem(last=False)
        return allowed


class Gate:
    """ASGI middleware around the whole app."""

    def __init__(self, app: Callable[..., Awaitable[None]]):
        self.app = Alike(app)
        own = gate.DOOR.caps
        self._requests = Bucket(own.requests, 10 * own.requests)
        self._newcomers = Bucket(own.newcomers, 30 * own.newcomers)
        self._bytes = Bucket(own.disk / 3600, own.disk)
        self._open: Counter[str] = Counter()
        self._coming = 0  # bytes that the uploads which are open said they would bring
        self._sessions: OrderedDict[str, str] = OrderedDict()  # of open pages, and whose each is; the last 10,000

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page needs no web socket
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = dict(scope["headers"])
        begun, who = [], gate.NOBODY
        try:
            _check_host(headers)
            _check_path(scope)
            if (scope["method"], scope["path"]) == ("HEAD", "/"):  # Gradio asks its own page whether it is there, and gives up after 3 s
                await _answer(_with_headers(send, "", begun), 200, "")
                return
            who, cookie = self._identify(scope, headers)
            with self._counted_as_open(scope, headers, who):
                if not FREE.match(scope["path"]) and not self._requests.take(who):
                    raise Refused(429, "That was too fast: wait a moment.")
                receive = await self._checked_body(scope, headers, receive, who)
                await self._pass_on(scope, receive, _with_headers(send, cookie, begun), who)
        except Refused as no:
            if not begun:
                await _answer(_with_headers(send, "", begun), no.status, no.sentence)
            gate.log("refused", status=no.status, path=scope["path"][:80], visitor=gate.short(who), reason=no.sentence)
        except Exception as error:  # of Gradio's: told to the log, not to the visitor
            gate.log("error", path=scope["path"][:80], visitor=gate.short(who), error=f"{type(error).__name__}: {str(error)[:200]}")
            if not begun:
                await _answer(_with_headers(send, "", begun), 400 if scope["method"] == "POST" else 500, "This request cannot be answered.")

    async def _pass_on(self, scope: dict, receive: Callable, send: Callable, who: str) -> None:
        scope[gate.KEY] = who
        token = gate.HERE.set(who)
        try:
            await self.app(scope, receive, send)
        finally:
            gate.HERE.reset(token)

    @contextmanager
    def _counted_as_open(self, scope: dict, headers: dict[bytes, bytes], who: str) -> Iterator[None]:
        """From before its body is read, so that a slow body counts, to the end of its answer. Whoever has no name counts by address."""
        coming = (_length(headers) or 0) if scope["path"] == UPLOAD else 0
        key = f"address {_address(scope)}" if who == gate.NOBODY else who
        if self._open[key] >= gate.DOOR.caps.at_once and not _asks_health(scope):
            raise Refused(429, "Too many requests of yours are open: close some pages.")
        self._open[key] += 1
        self._coming += coming
        try:
            yield
        finally:
            self._coming -= coming
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    def _identify(self, scope: dict, headers: dict[bytes, bytes]) -> tuple[str, str]:
        """The visitor, and a cookie to give them. A private app has one; a public one knows its visitors by their login, or by a cookie."""
        cookies = _cookies(headers)
        user = _login(scope, cookies)
        if not gate.DOOR.public:
            return gate.LOCAL, ""
        if user:
            return user, ""
        name = gate.named(headers.get(HEADER, b"").decode("latin-1")) or gate.named(cookies.get(COOKIE, ""))
        if name is not None:
            return f"visitor {name}", ""
        if FREE.match(scope["path"]):
            return gate.NOBODY, ""
        if scope["method"] == "POST" and not scope["path"].startswith(("/login", "/gradio_api/mcp")):
            raise Refused(401, "No visitor is known by this request: open the page first, and let it keep its cookie.")
        if not self._newcomers.take(_address(scope)):
            raise Refused(429, "Too many new visitors from this address: wait a moment.")
        name = secrets.token_hex(16)
        return f"visitor {name}", _cookie(gate.signed(name))

    async def _checked_body(self, scope: dict, headers: dict[bytes, bytes], receive: Callable, who: str) -> Callable:
        if scope["method"] != "POST":
            self._check_sessions(scope, None, who)
            return receive
        said = _length(headers)
        if scope["path"] == UPLOAD:
            if said is None:
                raise Refused(411, "The length of the upload is not given.")
            _check_upload(said)
            await self._check_room()
            if not self._bytes.take(who, said):
                raise Refused(429, f"That is more than {gate.DOOR.caps.disk // caps.MB:,} MB in an hour: wait, or use the demo.")
            return counted(in_time(receive, BODY_SECONDS + said / SLOWEST), said)
        if (said or 0) > gate.DOOR.caps.body:
            raise Refused(413, f"The request is larger than {gate.DOOR.caps.body:,} bytes.")
        body = await whole(in_time(receive, BODY_SECONDS), gate.DOOR.caps.body)
        if scope["path"] != "/login" and body:
            self._check_sessions(scope, check_json(body), who)
        return again(body, receive)

    async def _check_room(self) -> None:
        """A new cookie brings a new quota: before a byte of an upload is taken there must be room in what all visitors share. An upload
        that is open counts with all that it said, and what has come of it once more, so that no crowd gets ahead of the count."""
        if gate.DOOR.public and gate.DOOR.home is not None:
            kept = await asyncio.to_thread(keeping.on_disk, gate.DOOR.home)
            if kept + self._coming > gate.DOOR.caps.disk_all:
                raise Refused(507, "This app keeps as much as it can: try again later, or use the demo.")

    def _check_sessions(self, scope: dict, said: object, who: str) -> None:
        """A session is one open page: it keeps the page's values and hears what its events answer. Its name is the browser's choice, and
        whoever names it first is the only one who may."""
        if not scope["path"].startswith("/gradio_api/"):
            return
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        named = [*asked.get("session_hash", ()), *(SESSION.findall(scope["path"]) if scope["method"] != "POST" else ())]
        named += [said["session_hash"]] if isinstance(said, dict) and isinstance(said.get("session_hash"), str) else []
        for session in named:
            if self._sessions.setdefault(session, who) != who:
                raise Refused(404, "There is no such session of yours: open the page anew.")
            self._sessions.move_to_end(session)
        while len(self._sessions) > 10_000:
            self._sessions.popitem(last=False)


def _address(scope: dict) -> str:
    return (scope.get("client") or ("", 0))[0]


def _asks_health(scope: dict) -> bool:
    """Whoever watches over the app starts it anew where this is refused."""
    return scope["path"] == "/tiw/health" and scope["method"] != "POST"


def _check_host(headers: dict[bytes, bytes]) -> None:
    """A name that another page has made to resolve to this machine is not ours; nor is a request that another page makes."""
    if gate.DOOR.hosts is None:
        return
    if not _ours(headers.get(b"host", b"").decode("latin-1")):
        raise Refused(421, "This app is private and does not go by this name. Open it at localhost, or start it with --host NAME.")
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin and not _ours(origin.partition("://")[2]):
        raise Refused(403, "Another page may not use this app.")


def _ours(host: str) -> bool:
    name, hosts = re.sub(r":\d*$", "", host).strip("[]").lower(), gate.DOOR.hosts
    if name in hosts or any(known.startswith(".") and name.endswith(known) for known in hosts):
        return True
    return "*" in hosts and bool(re.fullmatch(r"[\d.]+|[0-9a-f:]*:[0-9a-f:.]*", name))


def _check_path(scope: dict) -> None:
    allowed = {"GET": READ, "HEAD": READ, "POST": WRITE, "DELETE": re.compile("/gradio_api/mcp.*")}.get(scope["method"])
    if allowed is None:
        raise Refused(405, "This app does not answer that.")
    another = scope["path"] == "/" and "page" in parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    if another or len(scope["path"].encode()) > MOST_PATH or not allowed.fullmatch(scope["path"]):  # Gradio has an error for another page
        raise Refused(404, "There is nothing here.")


def _length(headers: dict[bytes, bytes]) -> int | None:
    """What a request says of its body, if it says anything that is a length."""
    length = headers.get(b"content-length", b"")
    return int(length) if re.fullmatch(rb"\d{1,15}", length) else None


def _check_upload(length: int) -> None:
    """Before the first byte is read: its size, and the room on the disk."""
    if length > gate.DOOR.caps.upload + caps.MB:
        raise Refused(413, f"The file is larger than {gate.DOOR.caps.upload // caps.MB:,} MB.")
    if gate.DOOR.home is not None and shutil.disk_usage(gate.DOOR.home).free - length < gate.DOOR.caps.reserve:
        raise Refused(507, "The disk of this server is full: try again later, or use the demo.")


def _login(scope: dict, cookies: dict[str, str]) -> str:
    """The name of whoever has logged in: with Hugging Face, or with this app's own password. Where there is a password, nothing of ours
    is shown without it; Gradio's own addresses look themselves."""
    app, session = scope.get("app"), scope.get("session") or {}
    profile = (session.get("oauth_info") or {}).get("userinfo") or {}
    if profile.get("sub"):
        return f"hugging face {profile['sub']}"
    if getattr(app, "auth", None) is None:
        return ""
    tokens = [cookies.get(f"access-token-{kind}{app.cookie_id}") for kind in ("", "unsecure-")]
    user = next((app.tokens[token] for token in tokens if token in app.tokens), None)
    if user is None and scope["path"].startswith("/tiw/") and scope["path"] != "/tiw/health":
        raise Refused(401, "Log in first.")
    return f"user {user}" if user else ""


def _cookies(headers: dict[bytes, bytes]) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).items()}
    except CookieError:
        return {}


def _cookie(value: str) -> str:
    """On a Space the page stands in a frame of another site, whose cookies must be asked for in this way. Elsewhere it is not for https
    alone: where one name is served both ways, a browser would neither send it by http nor let another take its place."""
    framed = "; SameSite=None; Secure; Partitioned" if gate.on_space() else "; SameSite=Lax"
    return f"{COOKIE}={value}; Path=/; Max-Age={YEAR}; HttpOnly{framed}"


def _with_headers(send: Callable, cookie: str, begun: list) -> Callable:
    framed = [] if gate.DOOR.public else [(b"x-frame-options", b"SAMEORIGIN")]
    more = [
        *((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin"), *framed),
        (b"content-security-policy", CONTENT_POLICY.encode()),
        *([(b"set-cookie", cookie.encode())] if cookie else []),
    ]

    async def with_more(message: dict) -> None:
        if message["type"] == "http.response.start":
            begun.append(True)
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return with_more


async def _answer(send: Callable, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence, "error": sentence}).encode() if sentence else b""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
