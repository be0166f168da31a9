"""TIW Studio in the browser: what `python app.py` and `tiw app` start."""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported: the app calls nobody
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"  # nor does it keep statistics after every event

from tiw.errors import UserInputError

from . import page, routes, store, theme


def has_display() -> bool:
    """Whether a browser window could open here."""
    return not store.ON_SPACE and (
        sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    )


def main(arguments: list[str] | None = None) -> None:
    """Serve the page until Ctrl-C or SIGTERM. `arguments`: those of the command line unless given."""
    parser = argparse.ArgumentParser(
        prog=None if arguments is None else "tiw app",
        description="TIW Studio: audit image sets and debias diffusion models, in the browser.",
    )
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), help="address to listen on")
    parser.add_argument("--port", type=int, default=None, help="port; default: the first free one from 7860")
    parser.add_argument("--no-browser", action="store_true", help="open no browser window")
    parser.add_argument("--mcp", action="store_true", help="serve the actions as MCP tools too")
    args = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        owner = store.jobs().owner
    except UserInputError as problem:
        sys.exit(str(problem))
    if not owner:
        print(f"Another TIW Studio is at work in {store.home()}: this one shows its runs and starts none.", file=sys.stderr)
    atexit.register(store.jobs().close)  # the child ends with the app; its run can be resumed
    page.build().launch(
        server_name=args.host,
        server_port=args.port,
        inbrowser=has_display() and not args.no_browser,
        theme=theme.theme(),
        css=theme.asset("style.css"),
        favicon_path=str(theme.ASSETS / "icon.svg"),
        pwa=True,
        share=False,
        run_history=False,
        footer_links=["api", "settings"],
        max_file_size="200mb",
        strict_cors=True,
        enable_monitoring=False,
        show_error=not store.ON_SPACE,
        allowed_paths=[],
        blocked_paths=[str(store.home())],
        app_kwargs={"routes": routes.routes()},
        mcp_server=args.mcp,
    )
