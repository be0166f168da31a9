"""A client can do what the page can: the whole loop, with an upload at its beginning and downloads at its end (docs/API.md)."""

from __future__ import annotations

import io
import json
import time
import zipfile
from contextlib import closing
from dataclasses import fields
from inspect import signature
from pathlib import Path

import gradio as gr
import gradio_client
import httpx
import numpy as np
import pytest
from conftest import blobs
from PIL import Image
from served import QUICK, ROOT, Visitor, studio

from tiw.run.options import OPTIONS
from ui import api, caps, store

OTHERS = {  # texts that an option takes, and what is not the next number
    **{"objective": "dsm-ref", "strength": "1.5", "estimator": "network", "preset": "tiny", "fix": "noise"},
    **{"scored": 1000, "folds": 3, "resolution": 32, "sigma_max": 10.0, "reference_share": 0.5},
}


def test_every_end_point_is_documented_and_none_else(tmp_path):
    (tmp_path / "home").mkdir()
    with studio(tmp_path / "home") as address, closing(Visitor(address)) as visitor:
        named = visitor.http.get("/gradio_api/info").json()["named_endpoints"]
        text = (ROOT / "docs" / "API.md").read_text()
        assert {name.lstrip("/") for name in named} == {
            line.split("`")[1].split("(")[0] for line in text.splitlines() if line.startswith("| `")
        }
        for name, about in named.items():
            for parameter in about["parameters"]:
                assert parameter["parameter_name"] in text, (name, parameter["parameter_name"])


def test_every_call_is_documented_with_its_arguments():
    text = (ROOT / "docs" / "API.md").read_text()
    for function in (*api.READ, *api.WRITE, api.upload):
        assert f"| `{function.__name__}({', '.join(signature(function).parameters)})` |" in text


@pytest.mark.parametrize(
    ("start", "not_asked_for"),
    [
        (api.audit, {"levels"}),
        (api.even_out, {"seed"}),
        (api.preview, {"audit", "sampling_steps", "solver"}),
        (api.debias, {"audit"}),
        (api.train, {"learning_rate"}),
    ],
)
def test_a_call_takes_what_the_page_takes_and_every_value_reaches_the_run(monkeypatch, start, not_asked_for):
    """All but what the page does not ask for either. The values pass the caps of an app for strangers."""
    monkeypatch.setattr(store, "submit", lambda kind, **given: caps.options(kind, given, caps.PUBLIC, lambda name, field: name))
    monkeypatch.setattr(store, "matching_audit", lambda sets: "")
    options = {field.name: field.default for field in fields(OPTIONS[start.__name__.replace("_", "-")])}
    taken = {name: usual for name, usual in options.items() if name not in (*caps.INTERNAL, *not_asked_for)}
    assert set(signature(start).parameters) == set(taken)
    given = {name: OTHERS.get(name, "other" if type(usual) is str else type(usual)(not usual)) for name, usual in taken.items()}
    given = {name: value or 1 if type(value) in (int, float) else value for name, value in given.items()}
    made = start(**given)
    assert {name: getattr(made, name) for name in given} == given and all(given[name] != options[name] for name in given)
    for name in {"folds", "keep", "sigma_max", "learning_rate"} & set(given):
        with pytest.raises(gr.Error, match=f"{name}: .* more than this app allows"):
            start(**{name: type(given[name])(getattr(caps.PUBLIC, name) + 1)})


@pytest.mark.slow
def test_the_whole_loop_through_a_client(tmp_path):
    """Upload, audit, train, preview, debias, compare, download, stop, resume, delete; with the smallest network, as a public visitor."""
    home = tmp_path / "home"
    home.mkdir()
    with studio(home, "--public", child=QUICK) as address:
        client = gradio_client.Client(address, verbose=False)
        sets = {
            role: client.predict([gradio_client.handle_file(zipped(tmp_path / f"{role}.zip", share, n))], api_name="/upload")
            for role, share, n in (("biased", 0.2, 120), ("reference", 0.6, 60))
        }
        assert all(name.startswith("upload:") for name in sets.values())
        read = client.predict(**sets, api_name="/load_images")
        assert (read["biased"]["n"], read["reference"]["n"], read["biased"]["width"]) == (120, 60, 16)

        audit = client.predict(**sets, baseline="none", scored=100, map=False, score_all=False, api_name="/audit")
        found = finished(client, audit)
        assert found["reference"]["n"] == 60
        assert len(client.predict(audit, 0, api_name="/ratio_histogram")["biased"]) > 3
        moved = client.predict(audit, [0, 1, 2], api_name="/move_to_reference")
        assert client.predict(**moved, api_name="/load_images")["reference"]["n"] == 63

        trained = client.predict(data=sets["biased"], preset="tiny", steps=20, batch_size=16, api_name="/train")
        finished(client, trained)
        model = {**sets, "baseline": f"run:{trained}/model"}
        preview = client.predict(**model, strength="1", count=8, api_name="/preview")
        finished(client, preview)
        debiased = client.predict(**model, objective="dsm-ref", steps=4, batch_size=16, api_name="/debias")
        finished(client, debiased)
        compared = client.predict(debiased, 100, api_name="/compare")
        assert finished(client, compared)["n"] == 100

        kinds = {run["id"]: run["kind"] for run in client.predict(api_name="/runs")}
        assert kinds == {audit: "audit", trained: "train", preview: "preview", debiased: "debias", compared: "compare"}
        for run in (audit, debiased, compared):
            for path in client.predict(run, api_name="/downloads"):
                got = httpx.get(f"{address}/{path}", cookies=client.cookies)
                assert got.status_code == 200 and got.content, path
                assert httpx.get(f"{address}/{path}").status_code == 404, path  # without the cookie
                assert str(home).encode() not in got.content and b'"pid"' not in got.content, path
        model = httpx.get(f"{address}/tiw/{debiased}/model.zip", cookies=client.cookies).content
        assert any(name.endswith(".safetensors") for name in zipfile.ZipFile(io.BytesIO(model)).namelist())

        long = client.predict(data=sets["biased"], preset="tiny", steps=3000, batch_size=16, api_name="/train")
        until(lambda: client.predict(long, api_name="/run_status")["done"] > 2)
        client.predict(long, api_name="/stop_run")
        until(lambda: client.predict(long, api_name="/run_status")["state"] == "stopped")
        assert client.predict(long, api_name="/resume_run")["state"] in ("queued", "running")
        assert client.predict(long, " a\nname ", "a note", api_name="/describe_run") == {"name": "a name", "note": "a note"}
        with pytest.raises(Exception, match="name: it has 1000 characters"):
            client.predict(long, 1000 * "x", api_name="/describe_run")
        assert client.predict(long, api_name="/delete_run")
        assert long not in [run["id"] for run in client.predict(api_name="/runs")]

        other = gradio_client.Client(address, verbose=False)
        assert other.predict(api_name="/runs") == []
        with pytest.raises(Exception, match="nothing of yours"):
            other.predict(**sets, baseline="none", api_name="/audit")


def finished(client, run) -> dict:
    """The result, once the run has one."""
    status = {}

    def ended() -> bool:
        status.update(client.predict(run, api_name="/run_status"))
        return status["state"] not in ("queued", "running", "stopping")

    until(ended)
    assert status["state"] == "finished", json.dumps(status)[:500]
    return status["result"]


def until(condition, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.3)


def zipped(path: Path, share: float, n: int) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for k, image in enumerate(np.asarray(blobs(n, share, n).images)):
            png = io.BytesIO()
            Image.fromarray(image).save(png, "PNG")
            archive.writestr(f"{k:03d}.png", png.getvalue())
    return path
