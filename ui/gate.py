"""Who is this visitor, and what may they do? Asked in one place by page, routes, API and MCP."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import sys
import time
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from gradio.context import LocalContext

from . import caps

LOCAL = "local"  # the one visitor of a private app, and the owner of what the command line makes
EVERYONE = "everyone"  # owner of what ships with the app: all may look, none may change it
NOBODY = "nobody"
KEY = "tiw.visitor"  # in a request's scope
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})
LOG = logging.getLogger("tiw.app")


@dataclass(frozen=True)
class Door:
    """How this app is open. Set once, at start."""

    public: bool = False
    home: Path | None = None  # TIW_HOME, where the secret is kept; None: one for this process alone
    hosts: frozenset[str] | None = None  # names and addresses that a request may call us by; None: any
    caps: caps.Caps = caps.PRIVATE
    mcp: bool = False
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)


HERE: ContextVar[str] = ContextVar("visitor")


def visitor() -> str:
    """Whoever this code is running for: in a route, in an event of the page, or in a call of the API. No request: the machine's owner in
    a private app, nobody in a public one."""
    event = LocalContext.request.get(None)
    request = getattr(event, "request", event)  # gr.Request wraps it
    if request is not None and hasattr(request, "scope"):
        return request.scope.get(KEY, NOBODY)
    return HERE.get(NOBODY if DOOR.public else LOCAL)


def public() -> bool:
    return DOOR.public


def limits() -> caps.Caps:
    return DOOR.caps


def at_most(name: str, usual: float) -> float:
    """Where a field of the page ends: at its usual end, or at the cap."""
    return min(usual, getattr(DOOR.caps, name))


def may_read(owner: str) -> bool:
    """Whether the visitor may see what belongs to `owner`; an empty owner is the command line."""
    return owner == EVERYONE or may_change(owner)


def may_change(owner: str) -> bool:
    return (owner or LOCAL) == visitor()


def on_space() -> bool:
    return "SPACE_ID" in os.environ


def zero_gpu() -> bool:
    """Whether this is a Space that lends its GPU by the call (`ui.zero`); the package `spaces` looks at the same variable."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def open_door(is_public: bool, home: Path | None = None, host: str = "", more_hosts: tuple[str, ...] = (), mcp: bool = False) -> Door:
    """Decide how the app is open. `host`: the address it listens on. In a private app a request must call us by a loopback name, by
    `host` or by one of `more_hosts`: a page elsewhere that has its name resolve to this machine does not get in. An app that listens on
    every address may be called by any number, which no name can be made to look like."""
    global DOOR
    hosts = None if is_public else (LOOPBACK | {host, *more_hosts} | ({"*"} if host in ANY_ADDRESS else set())) - {""}
    kept = {} if home is None else {"secret": read_secret(home)}
    DOOR = Door(is_public, home, hosts, caps.PUBLIC if is_public else caps.PRIVATE, mcp, **kept)
    return DOOR


def read_secret(home: Path) -> bytes:
    """The key that signs cookies: made at the first start, kept where only this user can read it."""
    path = home / "secret"
    while (kept := _kept(path)) is None:
        _offer(path, secrets.token_hex(32))
    path.chmod(0o600)
    return kept


def _kept(path: Path) -> bytes | None:
    """The key in this file, which goes if there is none in it: cookies signed with an empty key would be anybody's."""
    with suppress(FileNotFoundError):
        if re.fullmatch("[0-9a-f]{64}", text := path.read_text().strip()):
            return bytes.fromhex(text)
        path.unlink()
    return None


def _offer(path: Path, text: str) -> None:
    """Write this file whole, or leave the one of a process that was first: nobody ever reads half a key."""
    fresh = path.with_name(f"secret.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def signed(name: str) -> str:
    """A visitor's cookie."""
    return f"{name}.{hmac.new(DOOR.secret, name.encode(), hashlib.sha256).hexdigest()}"


def named(value: str) -> str | None:
    """The visitor whose cookie this is; None if we have not signed it."""
    name = value.partition(".")[0]
    return name if re.fullmatch("[0-9a-f]{32}", name) and hmac.compare_digest(value.encode(), signed(name).encode()) else None


def log(event: str, **about: object) -> None:
    """One line of JSON on standard error. Visitors are named by the start of a hash."""
    LOG.info(json.dumps({"time": round(time.time(), 3), "event": event, **about}, default=str))


def log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False


def short(name: str) -> str:
    """A visitor's name for the log: enough to follow one, too little to be one."""
    return name if name in (LOCAL, NOBODY) else hashlib.sha256(name.encode()).hexdigest()[:8]


DOOR = Door(public=on_space(), caps=caps.PUBLIC if on_space() else caps.PRIVATE)
