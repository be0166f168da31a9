"""TIW Studio in the browser, what `python app.py` and `tiw app` start: `python app.py --host 0.0.0.0 --port 7860 --auth ada:secret`.

Every option can be given by the environment too: TIW_HOST, TIW_PORT, TIW_AUTH, TIW_SHARE=1, TIW_PUBLIC=1 (or 0 for --private), TIW_MCP=1
and so on.
"""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported: the app calls nobody
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"  # nor does it keep statistics after every event

from starlette.middleware import Middleware

from tiw.errors import UserInputError

from . import api, caps, entrance, gate, keeping, page, routes, store, theme

TUNNEL = ".gradio.live"  # what the addresses of `--share` end in
SWEEP_SECONDS = 600.0


def has_display() -> bool:
    """Whether a browser window could open here."""
    return not gate.on_space() and (
        sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    )


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, and the environment where it says nothing. Ends with a sentence for what cannot be meant."""
    env = {name[4:].lower(): value for name, value in os.environ.items() if name.startswith("TIW_")}
    env.setdefault("host", os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))

    def on(name: str) -> bool:
        return env.get(name, "").lower() in ("1", "true", "yes", "on")

    private = env.get("public", "").lower() in ("0", "false", "no", "off")  # said, and not only left out

    parser = argparse.ArgumentParser(
        prog=None if given is None else "tiw app", description="TIW Studio: audit image sets and debias diffusion models, in the browser."
    )
    parser.add_argument("--host", default=env["host"], help="address to listen on (TIW_HOST)")
    parser.add_argument("--hosts", default=env.get("hosts", ""), help="more names that a private app goes by, with commas (TIW_HOSTS)")
    parser.add_argument("--port", type=int, default=env.get("port"), help="port; default: the first free one from 7860 (TIW_PORT)")
    parser.add_argument("--auth", default=env.get("auth", ""), help="user:password, more with commas between (TIW_AUTH)")
    parser.add_argument("--share", action="store_true", default=on("share"), help="a public address by way of gradio.live (TIW_SHARE=1)")
    both = parser.add_mutually_exclusive_group()
    both.add_argument(
        "--public",
        action="store_true",
        default=on("public") or (gate.on_space() and not private),
        help="for strangers: caps, and everyone sees only what is theirs (TIW_PUBLIC=1; the default on a Space)",
    )
    both.add_argument(
        "--private", dest="public", action="store_false", help="for one person, without these limits (TIW_PUBLIC=0; the default elsewhere)"
    )
    parser.add_argument("--no-browser", action="store_true", default=on("no_browser"), help="open no browser window")
    parser.add_argument("--mcp", action="store_true", default=on("mcp"), help="serve what only reads as MCP tools too (TIW_MCP=1)")
    args = parser.parse_args(given)
    args.auth = [tuple(pair.split(":", 1)) for pair in args.auth.split(",") if pair]
    if not all(len(pair) == 2 and all(pair) for pair in args.auth):
        parser.error("--auth: give user:password")
    if args.mcp and find_spec("mcp") is None:
        parser.error('--mcp: pip install "gradio[mcp]"')
    if args.share and not (args.public or args.auth):
        parser.error("--share: whoever has the address could read the images of this computer; add --public, or --auth user:password")
    return args


def main(given: Sequence[str] | None = None) -> None:
    """Serve the page until Ctrl-C or SIGTERM. `given`: arguments, those of the command line unless given."""
    args = arguments(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        store.jobs()
    except UserInputError as problem:
        sys.exit(str(problem))
    atexit.register(store.jobs().close)  # the child ends with the app; its run can be resumed
    serve(args)


def serve(args: argparse.Namespace, **more: object) -> str:
    """Open the door and start the page; its address. Returns when the page ends, with `prevent_thread_lock=True` at once."""
    owner = store.jobs().owner
    if not owner:
        print(f"Another TIW Studio is at work in {store.home()}: this one shows its runs and starts none.", file=sys.stderr)
    write_only_at_home()
    hosts = tuple(name.strip().lower() for name in args.hosts.split(",") if name.strip())
    if args.share:  # only with a password where the app is private, so that a page that has its name resolve to us gets nothing
        hosts += (TUNNEL,)
    door = gate.open_door(args.public, store.home(), args.host, hosts, args.mcp)
    gate.log_to_stderr()
    if door.public:
        door.caps.of_sets().impose()  # on the runs, which are processes of this one
        print(f"Public: visitors see only what is theirs. Caps:\n{caps.table(door.caps)}", file=sys.stderr)
        threading.Thread(target=_sweep_for_ever, daemon=True, name="tiw-sweep").start()
    elif args.host not in gate.LOOPBACK and not args.auth:
        print(f"Private, and listening on {args.host}: whoever reaches it can read this computer's images. See --auth.", file=sys.stderr)
    _, address, _ = page.build().launch(
        server_name=args.host,
        server_port=args.port,
        inbrowser=has_display() and not args.no_browser,
        auth=args.auth or None,
        theme=theme.theme(),
        css=theme.asset("style.css") + theme.asset("learn/learn.css"),
        favicon_path=str(theme.ASSETS / "icon.svg"),
        pwa=True,
        share=args.share,
        ssr_mode=False,
        run_history=False,
        footer_links=["api", "settings"],
        max_file_size=door.caps.upload,
        state_session_capacity=200,
        strict_cors=True,
        enable_monitoring=False,
        show_error=not door.public,
        allowed_paths=[],
        blocked_paths=[str(store.home() / name) for name in ("runs", "uploads", "secret")],
        app_kwargs={"routes": routes.routes(), "middleware": [Middleware(entrance.Gate)], "lifespan": api.tools},
        mcp_server=args.mcp,
        **more,
    )
    return address


def write_only_at_home() -> None:
    """Uploads on their way and temporary files lie in TIW_HOME: it is the only place that a server may be able to write."""
    for name, variable in (("incoming", "GRADIO_TEMP_DIR"), ("temporary", "TMPDIR")):
        folder = store.home() / name
        folder.mkdir(exist_ok=True)
        os.environ[variable] = str(folder)
    tempfile.tempdir = os.environ["TMPDIR"]
    if not os.access(Path(str(find_spec("umap").origin)).parent, os.W_OK):  # numba keeps what it compiles beside its source
        os.environ.setdefault("NUMBA_CACHE_DIR", str(store.home() / "cache" / "numba"))


def _sweep_for_ever() -> None:
    rest = threading.Event()
    while not rest.wait(SWEEP_SECONDS):
        try:
            keeping.sweep()
        except OSError as error:
            gate.log("error", error=f"sweep: {error}")
