"""What strangers send to a public app: hostile values in every field of every end point and button, and requests of any shape.

`benchmarks/fuzz_http.py` sends many more of them.
"""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import httpx
import numpy as np
import pytest
from served import ROOT, Visitor, studio

from ui import caps

# JSON texts, because Python writes some of them otherwise.
NUMBERS = ("9999", "1e300", "-1e300", "1e999", "-1", "-1e-300", "1000000000", "1000000000.5", "99999999999999999999", "NaN", "Infinity")
NAMES = ("../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "hub:a/b", "cifar10", "http://127.0.0.1:1/x.zip", "\\u0000", "\\ud800")
TEXTS = ("1e999", "nan", "", "<img src=x onerror=1>", "=1+1", "upload:" + "0" * 32 + "/a.zip", "run:" + "1" * 32)
FILE = '{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}'
OTHERS = ("true", "null", "[]", "[[[[[]]]]]", "[1e300]", "{}", FILE, '{"__class__": "x"}')
HOSTILE = (*NUMBERS, *(f'"{text}"' for text in (*NAMES, *TEXTS)), *OTHERS)
OURS = re.compile(rb'File "%s/(ui|tiw)/' % re.escape(str(ROOT).encode()))  # Gradio logs what its own checks of a field refuse
OF_GRADIO = (
    *("info", "openapi.json", "queue/join", "queue/data", "queue/status", "upload", "cancel", "reset", "file=", "run/audit", "call/audit"),
    *("call/v2/audit", "call/audit/x", "heartbeat/x", "component_server", "stream/x"),
)
OTHER = ("", "config", "tiw/health", "tiw/x/result.json", "login", "monitoring", "static/x", "assets/x", "svelte/x", "theme.css")
PATHS = (*(f"/gradio_api/{path}" for path in OF_GRADIO), *(f"/{path}" for path in OTHER))
ENDS = ("/../../secret", "?run=" + "1" * 32, "%2e%2e%2f", "//", "%00", ";x", "/" + "a" * 300, "?session_hash=x", "?a[]=1")
METHODS = ("GET", "POST", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS")


@pytest.fixture(scope="module")
def visitor(home):
    with studio(home, "--public") as address, closing(Visitor(address)) as visitor:
        yield visitor


def end_points(visitor: Visitor) -> list[tuple[str, list[str]]]:
    """(end point, its parameters), of those that are documented."""
    named = visitor.http.get("/gradio_api/info").json()["named_endpoints"]
    return [(name.lstrip("/"), [parameter["parameter_name"] for parameter in about["parameters"]]) for name, about in named.items()]


def one_field(rng: np.random.Generator, names: list[tuple[str, list[str]]]) -> tuple[str, str, bytes]:
    """(method, path, body) of a call with one hostile value."""
    name, parameters = names[rng.integers(len(names))]
    value = HOSTILE[rng.integers(len(HOSTILE))]
    if not parameters or rng.random() < 0.1:
        parameters = ["device"]
    field = parameters[rng.integers(len(parameters))]
    if rng.random() < 0.7:
        return "POST", f"/gradio_api/call/v2/{name}", f'{{"{field}": {value}}}'.encode()
    given = ", ".join(value if parameter == field else "null" for parameter in parameters)
    return "POST", f"/gradio_api/call/{name}", f'{{"data": [{given}]}}'.encode()


def of_any_shape(rng: np.random.Generator, events: int) -> tuple[str, str, bytes]:
    """(method, path, body) of a request that no browser makes."""
    path = PATHS[rng.integers(len(PATHS))]
    if rng.random() < 0.4:
        path += ENDS[rng.integers(len(ENDS))]
    value = HOSTILE[rng.integers(len(HOSTILE))]
    bodies = (
        f'{{"fn_index": {rng.integers(-2, events + 2)}, "session_hash": "s", "data": [{", ".join([value] * int(rng.integers(0, 25)))}]}}',
        f'{{"fn_index": {value}, "session_hash": {value}, "data": {value}, "event_data": {value}}}',
        value,
        "[" * int(rng.integers(1, 3000)),
        rng.bytes(int(rng.integers(0, 200))).decode("latin-1"),
    )
    return METHODS[rng.integers(len(METHODS))], path, bodies[rng.integers(len(bodies))].encode("latin-1")


def send(http: httpx.Client, method: str, path: str, body: bytes) -> tuple[int, str]:
    """Status and answer; of a call also what it came to."""
    try:
        with http.stream(method, path, content=body, headers={"content-type": "application/json"}, timeout=20) as answer:
            text = b""
            for part in answer.iter_bytes():
                text += part
                if len(text) > 4096 or b"heartbeat" in text or b"ALIVE" in text:  # a stream that is open as long as its page
                    break
    except (httpx.InvalidURL, UnicodeError, httpx.RemoteProtocolError):  # the last: Gradio breaks off where it does not know an event
        return 400, ""
    told = text.decode(errors="replace")
    if answer.status_code == 200 and "/call/" in path and '"event_id"' in told:
        event, name = json.loads(told)["event_id"], path.split("?")[0].rpartition("/")[2]
        told += http.get(f"/gradio_api/call/{name}/{event}", timeout=20).text
    return answer.status_code, told


def harm(status: int, told: str, home: Path, told_before: int) -> str:
    """What an answer gives away or a request has started; empty for none."""
    log = home.with_suffix(".log").read_bytes()[told_before:]
    found = [word for word in ("Traceback", "site-packages", str(home), "root:x:") if word in told]
    found += ["a fault of ours in the log"] if OURS.search(log) else []
    found += [f"status {status}"] if status >= 500 else []
    return ", ".join(found + beyond(home))


def beyond(home: Path) -> list[str]:
    """Runs that ask for more than a visitor may have."""
    bounds = [field.name for field in fields(caps.Caps)]
    bounds, found = bounds[: bounds.index("text")], []
    for config in (home / "runs").glob("*/config.json"):
        options = json.loads(config.read_text())["options"]
        asked = {name: options[name] for name in bounds if name in options}
        found += [f"{name} {value}" for name, value in asked.items() if not 0 <= value <= getattr(caps.PUBLIC, name)]
        places = [options[name] for name in caps.PLACES if options.get(name, "") not in caps.NAMED]
        found += [place for place in places if not place.startswith(str(home))]
        found += [f"device {options['device']}"] if options.get("device", "auto") != "auto" else []
    return found


def stop_all(visitor: Visitor, home: Path) -> None:
    """So that the next request is refused for itself, and not because too many runs wait."""
    for run in (home / "runs").iterdir():
        visitor.api("delete_run", run=run.name)


@pytest.mark.parametrize("kind", ["fields", "shapes"])
def test_no_request_of_strangers_does_harm(visitor, home, kind):
    rng, names = np.random.default_rng(0), end_points(visitor)
    for _ in range(40):
        before = len(home.with_suffix(".log").read_bytes())
        request = one_field(rng, names) if kind == "fields" else of_any_shape(rng, len(visitor.config["dependencies"]))
        assert not harm(*send(visitor.http, *request), home, before), request
        stop_all(visitor, home)
    assert visitor.http.get("/tiw/health").status_code == 200


@pytest.mark.parametrize("value", [1e300, -1, 10**9, 9999, 1.5, "1e999", None, True, [], {}])
def test_no_number_on_the_page_gets_past_the_caps(visitor, home, value):
    """The buttons that start a run, with one number after the other replaced in what the browser sends."""
    parts = {part["id"]: part for part in visitor.config["components"]}
    begun = [event for event in visitor.config["dependencies"] if (event["api_name"] or "").startswith("begin")]
    assert len(begun) >= 5
    tried, before = 0, len(home.with_suffix(".log").read_bytes())
    for event in begun:
        for place, part in enumerate(event["inputs"]):
            if parts[part]["type"] in ("number", "slider"):
                data = [parts[part]["props"].get("value") for part in event["inputs"]]
                data[place] = value
                told = json.dumps(visitor.call(event["id"], *data))
                tried += 1
                assert not harm(200, told, home, before), (event["api_name"], value)
                stop_all(visitor, home)
    assert tried >= 4
