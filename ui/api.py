"""Named end points for gradio_client and MCP: the same actions as the buttons, with typed arguments. docs/API.md shows their use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import gradio as gr
from fastapi import FastAPI

from tiw.data import ImageSet, check_sets, parse_shares
from tiw.errors import UserInputError

from . import caps, explorer, gate, keeping, pictures, reference_builder, store
from .api_runs import delete_run, describe_run, downloads, ratio_histogram, resume_run, run_status, runs, stop_run
from .api_starts import audit, compare, debias, even_out, preview, train
from .wire import checked, opened, said


def load_images(biased: str = "demo", reference: str = "demo", references: int = 0, resolution: int = 0, skip_bad: bool = False) -> dict:
    """Read and check two image sets.

    Args:
        biased: name of the biased set (a path in a private app, the name of an upload), or "demo".
        reference: name of the reference set, or "demo".
        references: use this many of the reference images; 0 for all.
        resolution: pixels per side to crop and resize images to; 0 as they are.
        skip_bad: whether to leave out files that cannot be used, instead of stopping.

    Returns:
        For each set its number of images, width, height and attributes; and the problems found, all together.
    """
    with said():
        named = {"biased": biased, "reference": reference, "references": references, "resolution": resolution, "skip_bad": skip_bad}
        caps.options("audit", named, gate.limits(), store.located)
        sets = {role: pictures.open_set(named, role) for role in ("biased", "reference")}
        found = check_sets(*sets.values())
    return {**{role: _about(images) for role, images in sets.items()}, "problems": [store.said(problem) for problem in found]}


def move_to_reference(run: str, items: list[int]) -> dict:
    """New sets, in which these biased images of an audit belong to the reference set.

    Args:
        run: id of the audit.
        items: numbers of images, as in its scores.csv.

    Returns:
        biased and reference, names of the new sets.
    """
    with said():
        changed = explorer.with_more_references(opened(run, "audit"), items)
    return {role: changed[role] for role in pictures.ROLES}


def reference_from_labels(biased: str, attribute: str, shares: str, count: int = 400) -> dict:
    """Build a reference set of the wanted shares from the labels of a set; the biased set loses those images.

    Args:
        biased: name of a labelled set.
        attribute: the label.
        shares: VALUE=PER CENT with commas between, such as "darker=50, lighter=50".
        count: images of the reference set.

    Returns:
        biased and reference, names of the new sets.
    """
    with said():
        wanted = parse_shares(shares)
        if not wanted:
            raise UserInputError("shares", "none are given", "write VALUE=PER CENT, with commas between: darker=50, lighter=50")
        made = reference_builder.built(biased, {attribute: wanted} if attribute else wanted, count)
    return dict(zip(pictures.ROLES, made, strict=False))


def upload(source: list[str] | None) -> str:
    """Keep an image set: one zip. A private app also takes one npz or parquet file, or several images.

    Args:
        source: the files, by gradio_client's handle_file.

    Returns:
        The name of the set, for biased, reference and data.
    """
    with said():
        return keeping.keep_upload(source or [])


READ = (load_images, ratio_histogram, runs, run_status, downloads)  # all that MCP gets: it has no session, so ids go in and come out
WRITE = (
    *(audit, even_out, preview, debias, train, compare),
    *(stop_run, resume_run, describe_run, delete_run, move_to_reference, reference_from_labels),
)


def register() -> None:
    """Inside gr.Blocks: one end point each, under its own name."""
    for function in (*READ, *WRITE):
        # A tool is called in the request of whoever calls it: by way of the queue all would be visitors of one session.
        queued = not (gate.DOOR.mcp and function in READ)
        gr.api(checked(function), api_name=function.__name__, concurrency_limit=None, queue=queued)
    source, name = gr.File(visible=False, file_count="multiple", label="source"), gr.Textbox(visible=False, label="set")
    gr.Button(visible=False).click(upload, source, name, api_name="upload", concurrency_limit=None)


@asynccontextmanager
async def tools(app: FastAPI) -> AsyncIterator[None]:
    """From the start of the app to its end: Gradio makes a tool of every end point, and what changes something is none."""
    if (server := app.get_blocks().mcp_server_obj) is not None:
        only = {function.__name__ for function in READ}
        server.tool_to_endpoint = {tool: place for tool, place in server.tool_to_endpoint.items() if place.strip("/") in only}
    yield


def _about(images: ImageSet) -> dict:
    height, width = images.images.shape[1:3]
    attributes = [] if images.attributes is None else [str(name) for name in images.attributes.columns]
    return {"n": len(images), "width": width, "height": height, "attributes": attributes}
