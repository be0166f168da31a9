"""The files by which others serve the app: Space, container, compose; and what MCP is given."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import time
from contextlib import closing
from pathlib import Path

import gradio as gr
import numpy as np
import psutil
import pytest
import yaml
from conftest import blobs
from served import Visitor, studio

from tiw.run.folder import RunFolder
from ui import caps, gate, page, routes, zero
from ui.app import arguments

ROOT = Path(__file__).parents[1]
# Put into every Python that is started: the names of files and folders that it makes or writes, a line each.
WATCHED = """
import os, sys
told = os.open(os.environ["WRITTEN"], os.O_WRONLY | os.O_APPEND)
def seen(event, given):
    made = event == "os.mkdir" or (event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    if made and isinstance(given[0], (str, os.PathLike)):
        os.write(told, (os.path.abspath(given[0]) + chr(10)).encode())
sys.addaudithook(seen)
"""
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}  # what a Space's card may have


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def test_the_readme_begins_with_what_a_space_needs():
    front = yaml.safe_load((ROOT / "README.md").read_text().split("---\n")[1])
    assert front["sdk"] == "gradio" and front["sdk_version"] == pinned()["gradio"] and front["python_version"] == "3.12"
    assert (ROOT / front["app_file"]).is_file() and front["license"] == "apache-2.0"
    assert {front["colorFrom"], front["colorTo"]} <= COLOURS and len(front["title"]) <= 30 and len(front["short_description"]) <= 70
    assert isinstance(front["tags"], list) and front["suggested_hardware"] == "cpu-basic" and front["pinned"] is False


def test_the_container_copies_what_is_there_starts_the_app_and_writes_in_its_volume_alone():
    steps = instructions((ROOT / "Dockerfile").read_text())
    assert steps[0][0] == "FROM" and steps[-1] == ("ENTRYPOINT", '["python", "app.py"]')
    copied = [name for kind, rest in steps if kind == "COPY" for name in rest.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    top = {path.name for path in ROOT.iterdir()}
    assert {"app.py", "tiw", "ui", "assets", "checkpoints", "docs", "README.md"} <= set(copied) & top
    env = dict(pair.split("=", 1) for kind, rest in steps if kind == "ENV" for pair in rest.split())
    assert [rest for kind, rest in steps if kind == "VOLUME"] == [env["TIW_HOME"]] and env["TIW_HOST"] == "0.0.0.0"
    assert [rest for kind, rest in steps if kind == "EXPOSE"] == [env["TIW_PORT"]]
    assert ("USER", "1000") in steps and ("STOPSIGNAL", "SIGTERM") in steps
    (check,) = [rest for kind, rest in steps if kind == "HEALTHCHECK"]
    assert f":{env['TIW_PORT']}/tiw/health" in check and "/tiw/health" in [route.path for route in routes.routes()]
    assert all(re.search(f"^{name}\\b", (ROOT / "requirements.txt").read_text(), re.MULTILINE) for name in ("torch", "gradio"))


def instructions(text: str) -> list[tuple[str, str]]:
    """(keyword, rest) of each instruction."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [(kind, rest.strip()) for kind, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def test_what_the_page_on_serving_tells_of_faults_and_load_is_what_was_measured():
    text, results = (ROOT / "docs" / "SERVING.md").read_text(), ROOT / "benchmarks" / "results"
    rows = json.loads((results / "faults.json").read_text())
    assert len(rows) == 8 and all(row["as_expected"] for row in rows)
    load = json.loads((results / "load.json").read_text())
    named = {"page": "the page, all at once", "page again": "the page again", "look": "a look at the runs", "status": "the list of runs"}
    for name, words in named.items():
        assert f"| {words} | {load['seconds'][name]['p50']:.2f} s | {load['seconds'][name]['p95']:.2f} s |" in text
    assert load["failed"] == 0 and (load["clients"], load["cores"]) == (30, 2)
    assert f"the page, {load['files']} files and {load['events']} events" in text and f"{load['waiting']} have a run that waits" in text
    assert f"{load['cores_used']['app']:.2f} of a core and up to {max(load['app']['megabytes_meanwhile']):.0f} MB" in text
    assert f"for {load['minutes']:.0f} minutes" in text and f"{load['soak']['sessions']:,} visitors" in text
    speed, soak = load["steps_a_second"], load["soak"]["before_every_500_and_after"]
    assert f"{1 - 2 * speed['beside'] / (speed['alone'] + speed['alone_again']):.0%}".replace("%", " %") in text
    assert len({(part["file_descriptors"], part["disk_beside_runs"]) for part in soak}) == 1
    assert f"{soak[0]['megabytes']:.0f} MB before and {soak[-1]['megabytes']:.0f} MB after" in text


def test_what_the_page_on_security_tells_of_random_input_is_what_was_measured():
    text, results = (ROOT / "docs" / "SECURITY.md").read_text(), ROOT / "benchmarks" / "results"
    files, runs = json.loads((results / "fuzz_data.json").read_text()), json.loads((results / "fuzz_http.json").read_text())
    assert files["passed"] and f"read {files['inputs']:,} altered files" in text and f"held {files['peak_bytes'] >> 20} MB" in text
    assert f"sent {sum(run['inputs'] for run in runs):,} requests" in text
    assert f"took {max(run['slowest_seconds'] for run in runs):.1f} s" in text.replace("\n", " ")
    assert f"held {max(run['peak_bytes'] for run in runs) >> 20} MB" in text.replace("\n", " ")
    assert all(run["passed"] and not run["failures"] for run in runs)


def test_the_compose_file_speaks_of_this_container_and_of_options_that_there_are(monkeypatch):
    studio = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["studio"]
    steps = instructions((ROOT / "Dockerfile").read_text())
    env = dict(pair.split("=", 1) for kind, rest in steps if kind == "ENV" for pair in rest.split())
    assert studio["ports"] == [f"127.0.0.1:{env['TIW_PORT']}:{env['TIW_PORT']}"]
    assert f"home:{env['TIW_HOME']}" in studio["volumes"] and studio["read_only"] and studio["cap_drop"] == ["ALL"]
    for name in studio["environment"]:
        monkeypatch.setenv(name, "1" if name == "TIW_PUBLIC" else "a:b")
    given = vars(arguments([]))
    assert given["public"] is True and given["auth"] == [("a", "b")] and given["hosts"] == "a:b"
    assert set(studio["environment"]) == {"TIW_PUBLIC", "TIW_AUTH", "TIW_HOSTS", "FORWARDED_ALLOW_IPS"}


def test_the_page_on_serving_tells_the_limits_that_a_class_meets():
    text = " ".join((ROOT / "docs" / "SERVING.md").read_text().split())
    assert f"The {caps.PUBLIC.waiting_all + 1}th is refused" in text
    assert f"{caps.PUBLIC.waiting_all} may be unfinished in all, {caps.PUBLIC.waiting} of one visitor" in text
    assert f"{caps.PUBLIC.newcomers:g} a second and {30 * caps.PUBLIC.newcomers:g} at once" in text
    assert f"the GPU for {zero.DURATION} seconds at a time" in text


@pytest.mark.parametrize("space", [False, True])
@pytest.mark.parametrize(("said", "public"), [("1", True), ("0", False), ("off", False), ("", None), ("perhaps", None)])
def test_the_environment_makes_an_app_public_or_private(monkeypatch, said, public, space):
    """Without a word that can be understood it is what it is anyway, and the command line has the last one."""
    monkeypatch.setenv("TIW_PUBLIC", said)
    monkeypatch.delenv("SPACE_ID", raising=False)
    if space:
        monkeypatch.setenv("SPACE_ID", "someone/studio")
    assert arguments([]).public is (space if public is None else public)
    assert arguments(["--public"]).public is True and arguments(["--private"]).public is False


def blocks_with(fill) -> gr.Blocks:
    """A page with what this function puts there."""

    async def build():
        with gr.Blocks() as blocks:
            fill()
        return blocks

    return asyncio.run(build())


@pytest.mark.parametrize("space", [True, False])
def test_strangers_are_told_how_long_things_are_kept_and_where_real_work_is_done(monkeypatch, space):
    monkeypatch.setattr(gate, "DOOR", gate.DOOR)
    gate.open_door(True)
    if space:
        monkeypatch.setenv("SPACE_ID", "someone/studio")
    else:
        monkeypatch.delenv("SPACE_ID", raising=False)
    parts = list(blocks_with(page._for_strangers).blocks.values())
    note = next(part.value for part in parts if isinstance(part, gr.HTML))
    assert "deleted after 24 hours" in note and "at most 15 minutes" in note and caps.PUBLIC.kept_hours == 24 and caps.PUBLIC.minutes == 15
    assert any(isinstance(part, gr.DuplicateButton) for part in parts) is space


@pytest.mark.slow
def test_pages_that_were_closed_take_no_memory(tmp_path):
    """Each left half a megabyte behind, a copy of the settings of all its parts, until 200 others had come."""
    home = tmp_path / "home"
    home.mkdir()
    look = [dict.fromkeys(("biased", "reference", "baseline"), "demo"), {}, None]
    with studio(home, "--public") as address:
        app, sizes = max(psutil.Process().children(), key=lambda process: process.create_time()), []
        for number in range(60):
            with closing(Visitor(address)) as visitor, visitor.page_open():
                visitor.call(visitor.events["look"], *look)
            if number % 40 == 19:
                time.sleep(2)
                sizes.append(app.memory_info().rss / 2**20)
    assert sizes[1] - sizes[0] < 8, sizes


@pytest.mark.slow
def test_nothing_is_written_outside_of_the_home(tmp_path, monkeypatch):
    """As on a Space: the app and its run may write below TIW_HOME alone, and in the system's temporary folder, where libraries make theirs
    when they are imported. Both say what they open to write."""
    home, told = tmp_path / "home", tmp_path / "written"
    home.mkdir()
    told.touch()
    (tmp_path / "sitecustomize.py").write_text(WATCHED)
    for name, value in (("PYTHONPATH", tmp_path), ("PYTHONDONTWRITEBYTECODE", 1), ("WRITTEN", told), ("HOME", tmp_path / "user")):
        monkeypatch.setenv(name, str(value))
    with studio(home, "--public", child="") as address, closing(Visitor(address)) as visitor:
        run = visitor.api("audit", references=50, scored=200)
        until(lambda: visitor.api("run_status", run=run)["state"] not in ("queued", "running"), 900)
        assert visitor.api("run_status", run=run)["state"] == "finished"
    written = set(told.read_text().splitlines())
    assert any(path.startswith(str(home)) for path in written), "it listens"
    elsewhere = {path for path in written if not path.startswith((str(home), "/dev/", "/proc/"))}
    elsewhere -= {path for path in elsewhere if "__pycache__" in path}  # numba's, only where it may: test_keeping.py
    assert {path for path in elsewhere if path.startswith(str(tmp_path)) or not path.startswith(tempfile.gettempdir())} == set()


@pytest.mark.slow
def test_sigterm_ends_the_app_with_its_run_saved_and_the_next_app_resumes_it(tmp_path):
    """`python app.py` as a server ends it: what the run has done so far is kept, and its process is gone when the app is."""
    home, data = tmp_path / "home", tmp_path / "images.npz"
    home.mkdir()
    np.savez(data, images=blobs(100, 0.3, 0).images)
    script = "import runpy; runpy.run_path('app.py', run_name='__main__')"
    with studio(home, child="", code=script) as address, closing(Visitor(address)) as visitor:
        app = max(psutil.Process().children(), key=lambda process: process.create_time())
        run_id = visitor.api("train", data=str(data), preset="tiny", steps=2000, batch_size=16)
        run = RunFolder.open(home / "runs" / run_id)
        until(lambda: run.status()["done"] > 5)
        worker = psutil.Process(run.status()["pid"])
        app.terminate()
        assert app.wait(60) == 0
        until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 5)
    status = run.status()
    assert status["state"] == "stopped" and status["saved"] > 5, status
    with studio(home, child="", code=script) as address, closing(Visitor(address)) as visitor:
        assert visitor.api("resume_run", run=run_id)["state"] in ("queued", "running")
        until(lambda: run.status()["state"] == "running" and run.status()["done"] > status["saved"])


def until(condition, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)
