"""Our own addresses below tiw/: whatever is of a run passes `store.open_run`, which knows whose it is."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pandas as pd
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tiw import __version__
from tiw.errors import UserInputError
from tiw.files import as_csv
from tiw.run.report import with_about

from . import explorer, pictures, spot, stated, store, theme

CHUNK = 1 << 20
# What has too many items for an address, and what changes something.
METHODS = {"selection.zip": ["POST"], "spot.json": ["GET", "POST"], "stated.json": ["GET", "POST"]}
SHARE_FIELDS = ["attribute", "value", "set", "count", "n", "share", "low", "high"]
CORRECTED_FIELDS = ["corrected", "corrected_low", "corrected_high", "all_values_low", "all_values_high"]


def routes() -> list[Route]:
    """For FastAPI's `routes`: they stand before Gradio's own."""
    return [
        Route("/tiw/health", _health),
        Route("/tiw/plotly.min.js", _plotly),
        Route("/tiw/figures/{name}.webp", _figure),
    ] + [Route(f"/tiw/{{run_id}}/{path}", _gate(answer), methods=METHODS.get(path, ["GET"])) for path, answer in ANSWERS.items()]


async def _health(_request: Request) -> Response:
    """For whoever watches the server: it answers, and how much it has to do."""
    return JSONResponse({"status": "ok", "version": __version__, "unfinished": len(store.jobs().at_work()), "works": store.jobs().owner})


async def _plotly(_request: Request) -> Response:
    return FileResponse(theme.PLOTLY, media_type="text/javascript", headers={"Cache-Control": "public, max-age=86400"})


async def _figure(request: Request) -> Response:
    """A figure of the ten questions: one of those that ship, by its name."""
    found = {path.stem: path for path in theme.FIGURES.glob("*.webp")}.get(request.path_params["name"])
    return FileResponse(found, headers=_kept()) if found else Response("There is no such figure.", 404, media_type="text/plain")


def _gate(answer: Callable[[store.Run, dict[str, str]], Response | None]) -> Callable:
    async def endpoint(request: Request) -> Response:
        params = {**request.query_params, **request.path_params}
        if request.method == "POST":
            try:
                params["body"] = await request.json()
            except ValueError:
                return Response("The request is not JSON.", 400, media_type="text/plain")

        def respond() -> Response | None:
            run = store.open_run(params["run_id"])
            return None if run is None else answer(run, params)

        try:
            response = await run_in_threadpool(respond)
        except UserInputError as problem:  # the images of a run are gone, or are others now
            return Response(store.said(problem), 409, media_type="text/plain")
        except FileNotFoundError:  # not written yet, or deleted meanwhile
            response = None
        return response or Response("There is no such run, or it has not got this far.", 404, media_type="text/plain")

    return endpoint


def _explorer(run: store.Run, params: dict[str, str]) -> Response | None:
    return JSONResponse(explorer.payload(run, "all" in params), headers=_kept()) if run.result else None


def _sprite(run: store.Run, params: dict[str, str]) -> Response:
    return _webp(explorer.sprite(run.id, explorer.version(run), "all" in params))


def _strip(run: store.Run, params: dict[str, str]) -> Response | None:
    item = params["item"]
    picture = explorer.strip(run, int(item)) if run.result and item.isdecimal() else None
    return picture and _webp(picture)


def _image(run: store.Run, params: dict[str, str]) -> Response | None:
    item = params["item"]
    picture = explorer.image(run, int(item)) if run.result and item.isdecimal() else None
    return picture and _webp(picture)


def _selection(run: store.Run, params: dict) -> Response | None:
    items = params["body"].get("items") if isinstance(params["body"], dict) else None
    if not run.result or not isinstance(items, list):
        return None
    return _stream(explorer.zipped(run, items), "selection.zip")


def _report(run: store.Run, params: dict[str, str]) -> Response:
    report = (run.path / "report.html").read_text(encoding="utf-8")
    return _download(with_about(report, run.name, run.note).encode(), f"{run.kind}-report.html", "text/html")


def _levels(run: store.Run, params: dict[str, str]) -> Response:
    return _download((run.path / "levels.csv").read_bytes(), "audit-diagnostics.csv", "text/csv")


def _scores(run: store.Run, params: dict[str, str]) -> Response:
    """Every score of the audit: the images of the charts, then all others once they are scored."""
    return _download((run.path / "scores.csv").read_bytes(), "audit-scores.csv", "text/csv")


def _left_out(run: store.Run, params: dict[str, str]) -> Response:
    return _download((run.path / "left_out.csv").read_bytes(), "audit-left-out.csv", "text/csv")


def _preview(run: store.Run, params: dict[str, str]) -> Response | None:
    name = params["name"]
    return _webp((run.path / "previews" / name).read_bytes()) if re.fullmatch(r"\d+\.webp", name) else None


def _pairs(run: store.Run, params: dict[str, str]) -> Response | None:
    page = params["page"]
    shown = params.get("m", "0,1")[:40].split(",")
    known = page.isdecimal() and all(k.isdecimal() and len(k) < 3 for k in shown)
    picture = pictures.pairs_sheet(run, int(page), [int(k) for k in shown]) if known else None
    return _webp(picture) if picture else None


def _spot(run: store.Run, params: dict) -> Response:
    return JSONResponse(spot.answer(run, params["body"]) if "body" in params else spot.state(run), headers={"Cache-Control": "no-store"})


def _stated(run: store.Run, params: dict) -> Response:
    found = stated.answer(run, params["body"]) if "body" in params else stated.state(run)
    return JSONResponse(found, headers={"Cache-Control": "no-store"})


def _spot_csv(run: store.Run, params: dict[str, str]) -> Response:
    return _download((run.path / "spot_check.csv").read_bytes(), "spot_check.csv", "text/csv")


def _spot_image(run: store.Run, params: dict[str, str]) -> Response | None:
    sample = params["sample"]
    picture = spot.picture(run, int(sample)) if sample.isdecimal() and len(sample) < 9 else b""
    return _webp(picture) if picture else None


def _spot_zip(run: store.Run, params: dict[str, str]) -> Response | None:
    packed = spot.zipped(run)
    return packed and _stream(packed, "spot_check.zip")


def _result(run: store.Run, params: dict[str, str]) -> Response | None:
    return _download((run.path / "result.json").read_bytes(), f"{run.kind}.json", "application/json")


def _shares(run: store.Run, params: dict[str, str]) -> Response | None:
    if not run.result or "shares" not in run.result:
        return None
    rows = []
    for row in run.result["shares"]:
        fixed = row.get("corrected") or {}
        ends = row.get("interval") or (None, None)
        more = (fixed.get("share"), *fixed.get("interval", (None, None)), *fixed.get("simultaneous", (None, None)))
        rows.append({**row, **dict(zip(("low", "high"), ends, strict=True)), **dict(zip(CORRECTED_FIELDS, more, strict=True))})
    head = SHARE_FIELDS + (CORRECTED_FIELDS if run.kind == "compare" else [])
    return _download(as_csv(pd.DataFrame(rows, columns=head)), f"{run.kind}-shares.csv", "text/csv")


def _model(run: store.Run, params: dict[str, str]) -> Response | None:
    return _packed(run, run.path / "model", "baseline-model.zip" if run.kind == "train" else "debiased-model.zip")


def _kept_model(run: store.Run, params: dict[str, str]) -> Response | None:
    """A moving average that the run kept on the way."""
    step = params["step"]
    there = {int(folder.name): folder for folder in (run.path / "kept").glob("*/") if folder.name.isdecimal()}
    folder = there.get(int(step)) if step.isdecimal() and len(step) < 10 else None
    return folder and _packed(run, folder, f"debiased-model-step-{int(step)}.zip")


def _packed(run: store.Run, folder: Path, name: str) -> Response | None:
    """A model's folder as a download."""
    if not run.done or not folder.is_dir():
        return None
    packed = tempfile.TemporaryFile()  # noqa: SIM115  (closed by the stream)
    with zipfile.ZipFile(packed, "w") as archive:  # stored: weights do not compress
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder.parent))
    packed.seek(0)
    return _stream(packed, name)


ANSWERS = {
    "explorer.json": _explorer,
    "sprite.webp": _sprite,
    "strip/{item}.webp": _strip,
    "image/{item}.webp": _image,
    "previews/{name}": _preview,
    "pairs/{page}.webp": _pairs,
    "result.json": _result,
    "shares.csv": _shares,
    "scores.csv": _scores,
    "levels.csv": _levels,
    "left_out.csv": _left_out,
    "report.html": _report,
    "selection.zip": _selection,
    "model.zip": _model,
    "kept/{step}.zip": _kept_model,
    "spot.json": _spot,
    "stated.json": _stated,
    "spot.csv": _spot_csv,
    "spot.zip": _spot_zip,
    "spot/{sample}.webp": _spot_image,
}


def _stream(packed: IO[bytes], name: str) -> Response:
    """An open temporary file as a download; closed, and so gone, at its end."""

    def chunks() -> Iterator[bytes]:
        with packed:
            yield from iter(lambda: packed.read(CHUNK), b"")

    return StreamingResponse(chunks(), media_type="application/zip", headers=_attachment(name))


def _webp(picture: bytes) -> Response:
    return Response(picture, media_type="image/webp", headers=_kept())


def _download(content: bytes, name: str, media_type: str) -> Response:
    return Response(store.said(content.decode(errors="replace")), media_type=media_type, headers=_attachment(name))


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}


def _kept() -> dict[str, str]:
    return {"Cache-Control": "private, max-age=3600"}
