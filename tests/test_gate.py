"""Who a visitor is, what they may ask for, and what their requests must look like; without a server."""

import asyncio
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import fields, replace
from threading import Event, current_thread, main_thread
from types import SimpleNamespace

import gradio as gr
import pytest

from tiw.errors import UserInputError
from tiw.run.options import OPTIONS
from ui import app, caps, entrance, gate, wire


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Opens the door in this way until the test ends."""

    def open_door(public, **how):
        monkeypatch.setattr(gate, "DOOR", gate.DOOR)
        return gate.open_door(public, tmp_path, **how)

    return open_door


def anywhere(name, _field):
    return f"/somewhere/{name}"


# --- the visitor


def test_the_secret_is_made_once_and_readable_by_its_user_alone(tmp_path):
    def mode():
        return stat.S_IMODE((tmp_path / "secret").stat().st_mode)

    first = gate.read_secret(tmp_path)
    assert len(first) == 32 and mode() == 0o600
    (tmp_path / "secret").chmod(0o644)  # copied, or unpacked
    assert gate.read_secret(tmp_path) == first and mode() == 0o600
    (tmp_path / "secret").write_text("")  # the disk was full
    assert len(gate.read_secret(tmp_path)) == 32


def test_apps_that_start_at_the_same_moment_have_one_secret(tmp_path, monkeypatch):
    """The slower one found the file of the other still empty, and put its own in the place of what was there a moment later."""
    begun, goes_on, draw, remove = Event(), Event(), gate.secrets.token_hex, gate.Path.unlink

    def slowly(size):
        if current_thread() is not main_thread():
            begun.set()
            assert goes_on.wait(20)
        return draw(size)

    def when_the_first_is_done(path, **how):
        if path.name == "secret":
            goes_on.set()
            first.result(20)
        remove(path, **how)

    monkeypatch.setattr(gate.secrets, "token_hex", slowly)
    monkeypatch.setattr(gate.Path, "unlink", when_the_first_is_done)
    with ThreadPoolExecutor(1) as app:
        first = app.submit(gate.read_secret, tmp_path)
        assert begun.wait(20)
        second = gate.read_secret(tmp_path)
        goes_on.set()
        assert first.result(20) == second == gate.read_secret(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_login_is_offered_on_a_space_alone(opened, monkeypatch):
    """Elsewhere Gradio logs every visitor in as whoever this machine belongs to."""
    from ui import page

    opened(True)
    offered = []
    drawn = {"Row": lambda **how: nullcontext(), "DuplicateButton": lambda *given, **how: None}
    monkeypatch.setattr(page, "gr", SimpleNamespace(LoginButton=lambda **how: offered.append(how), **drawn))
    monkeypatch.setattr(page.theme, "html", lambda text: None)
    monkeypatch.setenv("OAUTH_CLIENT_ID", "x")
    monkeypatch.delenv("SPACE_ID", raising=False)
    page._for_strangers()
    assert not offered
    monkeypatch.setenv("SPACE_ID", "a/b")
    page._for_strangers()
    assert len(offered) == 1


def test_a_cookie_is_ours_or_nobodys(opened):
    opened(True)
    name = "0123456789abcdef" * 2
    cookie = gate.signed(name)
    assert gate.named(cookie) == name
    flipped = cookie[:-1] + ("0" if cookie[-1] != "0" else "1")
    for forged in (
        flipped,
        name,
        f"{name}.",
        "",
        ".",
        cookie.upper(),
        f"x{cookie}",
        f"{'f' * 32}{cookie[32:]}",
        "é" * 40,
        gate.signed(name[:31]),
    ):
        assert gate.named(forged) is None
    gate.open_door(True)  # another secret
    assert gate.named(cookie) is None


def test_the_secret_is_in_no_text(opened):
    door = opened(True)
    assert door.secret.hex() not in repr(door) and repr(door.secret) not in repr(door)


@pytest.mark.parametrize(
    ("who", "owner", "read", "change"),
    [
        ("visitor a", "visitor a", True, True),
        ("visitor a", "visitor b", False, False),
        ("visitor a", "", False, False),  # the command line's
        ("visitor a", gate.EVERYONE, True, False),
        (gate.LOCAL, "", True, True),
        (gate.LOCAL, "visitor a", False, False),
        (gate.NOBODY, "", False, False),
    ],
)
def test_who_may_see_and_change_what(opened, who, owner, read, change):
    opened(who != gate.LOCAL)
    token = gate.HERE.set(who)
    try:
        assert (gate.may_read(owner), gate.may_change(owner)) == (read, change)
    finally:
        gate.HERE.reset(token)


def test_without_a_request_a_public_app_serves_nobody(opened):
    opened(True)
    assert gate.visitor() == gate.NOBODY
    opened(False)
    assert gate.visitor() == gate.LOCAL


# --- from what a client sent to options


def test_every_field_for_visitors_is_an_option_and_every_named_cap_bounds_one():
    known = {field.name for kind in caps.KINDS for field in fields(OPTIONS[kind])}
    assert set(caps.INTERNAL) <= known and set(caps.PLACES) <= known
    bounds = [field.name for field in fields(caps.Caps)]
    assert set(bounds[: bounds.index("text")]) <= known


@pytest.mark.parametrize("kind", caps.KINDS)
def test_every_number_that_a_visitor_may_give_has_a_cap(kind):
    free = {"reference_share", "margin"}  # shares: the options bound them
    for field in fields(OPTIONS[kind]):
        if field.name not in (*caps.INTERNAL, *free) and type(field.default) in (int, float):
            assert hasattr(caps.PUBLIC, field.name), field.name
            with pytest.raises(UserInputError, match=f"{field.name}: .* more than this app allows"):
                caps.options(kind, {field.name: type(field.default)(1e15)}, caps.PUBLIC, anywhere)
            for value in (float("inf"), float("nan")):
                with pytest.raises(UserInputError, match=f"{field.name}: .* finite number"):
                    caps.options(kind, {field.name: value}, caps.PRIVATE, anywhere)


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        ("audit", {"device": "cuda"}, "device"),
        ("debias", {"precision": "float32"}, "precision"),
        ("debias", {"minutes": 1e300}, "minutes"),
        ("debias", {"minutes": float("nan")}, "minutes"),
        ("debias", {"steps": 10**9}, "steps"),
        ("compare", {"count": 1e9}, "count"),
        ("preview", {"sampling_steps": 1e9}, "sampling_steps"),
        ("audit", {"folds": "5"}, "folds"),
        ("audit", {"folds": True}, "folds"),
        ("audit", {"map": 1}, "map"),
        ("audit", {"seed": 2.5}, "seed"),
        ("audit", {"biased": ["demo"]}, "biased"),
        ("audit", {"biased": {"path": "/"}}, "biased"),
        ("audit", {"class_label": "x" * 501}, "class_label"),
        ("audit", {"class_label": "a\0b"}, "class_label"),
        ("audit", {"__class__": 1}, "__class__"),
        ("demo", {}, "kind"),
        ("make-split", {"data": "/"}, "kind"),
        (["audit"], {}, "kind"),
    ],
)
def test_what_is_no_option_of_a_visitors_is_refused(kind, given, field):
    with pytest.raises(UserInputError) as refused:
        caps.options(kind, given, caps.PUBLIC, anywhere)
    assert refused.value.field == field


def test_text_that_no_system_call_takes_is_refused_here():
    with pytest.raises(UserInputError, match="a character that no name has"):
        caps.options("audit", {"class_label": "a\0b"}, caps.PRIVATE, anywhere)


def test_more_models_of_a_comparison_are_located_and_counted():
    """A sweep is four models in one word, and a model's folder is as much a place as a set is."""
    made = caps.options("compare", {"debiased": "x", "also": " guided, a "}, caps.PUBLIC, anywhere)
    assert made.also == "guided,/somewhere/a"
    for also in ("sweep", "kept", "a,b,c"):
        with pytest.raises(UserInputError, match=r"also: it names up to \d+ more models; name at most 2"):
            caps.options("compare", {"debiased": "x", "also": also}, caps.PUBLIC, anywhere)


def test_numbers_come_in_the_types_of_the_options_and_places_where_they_lie():
    given = {"minutes": 2, "steps": 3.0, "seed": None, "biased": " a ", "reference": "demo", "baseline": "none"}
    made = caps.options("debias", given, caps.PUBLIC, anywhere)
    assert (made.minutes, type(made.minutes), made.steps, type(made.steps), made.seed) == (2.0, float, 3, int, 0)
    assert (made.biased, made.reference, made.baseline) == ("/somewhere/a", "demo", "none")


@pytest.mark.parametrize("state", [None, [], "x", 3, {"a": 3, "b": "y", "c": 1}, {"a": None}])
def test_what_a_browser_kept_has_the_fields_and_types_of_its_likeness(state):
    made = caps.shaped(state, {"a": "usual", "b": "usual"})
    assert set(made) == {"a", "b"} and all(type(value) is str for value in made.values())


def test_a_call_takes_values_of_its_own_types_and_no_list_without_end():
    def end_point(items: list[int], name: str) -> tuple:
        return items, name

    called = wire.checked(end_point)
    assert called([1, 2.0], "a") == ([1, 2], "a")
    for items, name in (([0] * (wire.MOST_ITEMS + 1), "a"), (["1"], "a"), ([True], "a"), ([1.5], "a"), ({}, "a"), ([], 1)):
        with pytest.raises(gr.Error, match=r"give a (list of numbers|whole number|text)"):
            called(items, name)


# --- requests


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 40 + b"]" * 40,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b"[" + b"9" * 5000 + b"]",
        b"[" + b"9" * 30 + b"]",
        b'{"data": [{"path": "http://169.254.169.254/latest"}]}',
        b'{"data": [{"path": "file\\u003a//x"}]}',
        b"\xff\xfe",
        b"{",
        b'"\x00',
    ],
)
def test_a_body_that_could_do_harm_is_refused(body):
    with pytest.raises(entrance.Refused) as refused:
        entrance.check_json(body)
    assert refused.value.status == 400


@pytest.mark.parametrize("body", [b"{}", b'{"data": ["[[[[\\"[[[["], "x": [1, -2.5e3, null, true]}', b'{"path": "/tmp/x"}'])
def test_a_usual_body_passes(body):
    entrance.check_json(body)


@pytest.mark.parametrize(
    ("listening", "host", "allowed"),
    [
        ("127.0.0.1", "localhost:7860", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "[::1]:7860", True),
        ("127.0.0.1", "evil.example:7860", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "192.168.1.5", False),
        ("127.0.0.1", "", False),
        ("studio.lan", "studio.lan:7860", True),
        ("0.0.0.0", "192.168.1.5:7860", True),
        ("0.0.0.0", "evil.example", False),
        ("0.0.0.0", "1.2.3.4.evil.example", False),
        ("0.0.0.0", "proxy.example", True),
        ("127.0.0.1", "abc123.gradio.live", True),
        ("127.0.0.1", "gradio.live", False),
        ("127.0.0.1", "evilgradio.live", False),
    ],
)
def test_a_private_app_goes_by_its_own_names_only(opened, listening, host, allowed):
    opened(False, host=listening, more_hosts=("proxy.example", app.TUNNEL))
    assert status("GET", "/", {"host": host}) == (200 if allowed else 421)


def test_another_page_may_not_use_a_private_app(opened):
    opened(False)
    for origin, wanted in (("http://localhost:7860", 200), ("https://evil.example", 403), ("null", 403)):
        assert status("POST", "/gradio_api/queue/join", {"host": "localhost:7860", "origin": origin}) == wanted


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=http://127.0.0.1/",
        "/gradio_api/proxy=http://127.0.0.1/",
        "/gradio_api/token",
        "/gradio_api/component_server",
        "/gradio_api/vibe-edit",
        "/monitoring",
        "/dev/reload",
        "/pwa_icon/100000",
        "/static/" + "a" * 300,
        "/gradio_api/stream/x",
        "/docs",
    ],
)
def test_what_the_page_does_not_need_is_not_there(opened, path):
    opened(False)
    assert {status(method, path, {"host": "localhost"}) for method in ("GET", "POST")} == {404}
    assert status("PUT", path, {"host": "localhost"}) == 405


def test_a_session_is_its_first_visitors_alone(opened):
    """Whoever named the session of another page, or the event that bore its name, heard its answers and joined its values."""
    opened(True)
    door = entrance.Gate(reading)
    a, b = ({"cookie": f"{entrance.COOKIE}={gate.signed(letter * 32)}"} for letter in "ab")
    body = b'{"session_hash": "of-a"}'
    assert status("POST", "/gradio_api/queue/join", a, door, body) == 200
    listening = {"path": "/gradio_api/queue/data", "query_string": b"session_hash=of-a"}
    for how in (
        {"path": "/gradio_api/queue/join", "body": body},
        {"path": "/gradio_api/queue/join", "body": b'{"session_hash": "of-b", "session_hash": "of-a"}'},
        {"path": "/gradio_api/queue/join", "body": b'{"session\\u005fhash": "of-\\u0061"}'},
        {"path": "/gradio_api/call/runs", "body": body},
        {"path": "/gradio_api/cancel", "body": body},
        listening,
        {**listening, "query_string": b"session_hash=of-b&session%5fhash=of%2Da"},
        {"path": "/gradio_api/heartbeat/of-a"},
        {"path": "/gradio_api/call/runs/of-a"},
    ):
        assert status("POST" if "body" in how else "GET", how.pop("path"), b, door, **how) == 404, how
    assert status("GET", "/gradio_api/queue/data", a, door, query_string=b"session_hash=of-a") == 200
    assert [status("POST", "/gradio_api/call/v2/runs", who, door, b"{}") for who in (a, b)] == [200, 200]  # v2 is no end point, runs none
    for k in range(10_001):
        door._check_sessions({"method": "POST", "path": "/gradio_api/queue/join"}, {"session_hash": str(k)}, "visitor b")
    assert len(door._sessions) == 10_000


def test_ten_thousand_requests_without_a_cookie_start_nothing(opened):
    opened(True)
    reached = []
    door = entrance.Gate(lambda *call: ok(*call, reached=reached))
    found = asyncio.run(many(10_000, "POST", "/gradio_api/queue/join", {}, door))
    assert {answer["status"] for answer in found} == {401} and reached == []


def test_a_visitor_in_a_hurry_is_slowed_down_and_others_are_not(opened):
    opened(True)
    reached = []
    door = entrance.Gate(lambda *call: ok(*call, reached=reached))
    a, b = ({"cookie": f"{entrance.COOKIE}={gate.signed(letter * 32)}"} for letter in "ab")
    found = asyncio.run(many(1000, "POST", "/gradio_api/queue/join", a, door))
    assert found[0]["status"] == 200 and found[-1]["status"] == 429 and len(reached) < 300
    assert status("POST", "/gradio_api/queue/join", b, door) == 200


def test_who_keeps_many_requests_open_gets_no_more_and_others_do(opened):
    most = opened(True).caps.at_once
    a, b = ({"cookie": f"{entrance.COOKIE}={gate.signed(letter * 32)}"} for letter in "ab")

    async def attack():
        end = asyncio.Event()

        async def slow(*call):
            await end.wait()
            await ok(*call)

        door = entrance.Gate(slow)
        held = [asyncio.create_task(ask("GET", "/config", a, door)) for _ in range(most)]
        await asyncio.sleep(0)
        refused, welcome = [asyncio.create_task(ask("GET", "/config", who, door)) for who in (a, b)]
        await asyncio.wait_for(refused, 5)
        end.set()
        return {(await answer)["status"] for answer in held}, refused.result()["status"], (await welcome)["status"], door._open

    assert asyncio.run(attack()) == ({200}, 429, 200, {})


def test_bodies_that_come_slowly_count_as_open_and_are_given_up(opened, monkeypatch):
    most = opened(True).caps.at_once
    a, b = ({"cookie": f"{entrance.COOKIE}={gate.signed(letter * 32)}"} for letter in "ab")
    monkeypatch.setattr(entrance, "BODY_SECONDS", 0.5)

    async def never():
        await asyncio.Event().wait()

    async def attack():
        door = entrance.Gate(reading)
        upload = ("POST", "/gradio_api/upload", {**b, "content-length": "1"}, door)
        slow = [ask("POST", "/gradio_api/queue/join", a, door, coming=never) for _ in range(most)]
        held = [asyncio.create_task(one) for one in (*slow, ask(*upload, coming=never))]
        await asyncio.sleep(0.05)
        refused, welcome = [(await ask("GET", "/config", who, door))["status"] for who in (a, b)]
        answers = await asyncio.wait_for(asyncio.gather(*held), 5)
        return refused, welcome, {answer["status"] for answer in answers}, door._open

    assert asyncio.run(attack()) == (429, 200, {408}, {})


def test_a_stranger_without_a_cookie_takes_no_other_strangers_place_and_health_is_always_told(opened):
    most = opened(True).caps.at_once

    async def attack():
        end = asyncio.Event()

        async def slow(scope, receive, send):
            if scope["client"][0] == "6.6.6.6" and scope["path"] != "/tiw/health":
                await end.wait()
            await ok(scope, receive, send)

        async def get(path, address):
            return (await asyncio.wait_for(ask("GET", path, {}, door, client=(address, 9)), 5))["status"]

        door = entrance.Gate(slow)
        held = [asyncio.create_task(get("/assets/x.js", "6.6.6.6")) for _ in range(most)]
        await asyncio.sleep(0)
        found = [await get(path, address) for path in ("/assets/x.js", "/favicon.ico", "/tiw/health") for address in ("6.6.6.6", "5.6.7.8")]
        end.set()
        return found, set(await asyncio.gather(*held)), door._open

    assert asyncio.run(attack()) == ([429, 200, 429, 200, 200, 200], {200}, {})


def test_who_has_sent_their_body_is_waited_for(opened, monkeypatch):
    """An event's stream stays open for hours, and hears by the same way that its page has gone."""
    opened(True)
    monkeypatch.setattr(entrance, "BODY_SECONDS", 0.05)
    cookie = {"cookie": f"{entrance.COOKIE}={gate.signed('a' * 32)}", "content-length": "1"}

    async def listening(scope, receive, send):
        heard = [await receive(), await receive()]
        await (ok if heard[1]["type"] == "http.disconnect" else None)(scope, receive, send)

    async def ask_and_leave():
        parts = [{"type": "http.request", "body": b"1", "more_body": False}]

        async def coming():
            if parts:
                return parts.pop()
            await asyncio.sleep(0.2)
            return {"type": "http.disconnect"}

        return (await ask("POST", "/gradio_api/upload", cookie, entrance.Gate(listening), coming=coming))["status"]

    assert asyncio.run(ask_and_leave()) == 200


def test_an_address_that_is_a_new_visitor_again_and_again_is_slowed_down_and_others_are_not(opened):
    """A visitor's share of the server is worth nothing where everyone is as many visitors as they like."""
    opened(True)
    door = entrance.Gate(ok)
    found = [answer["status"] for answer in asyncio.run(many(300, "GET", "/", {}, door))]
    assert found[0] == 200 and found[-1] == 429 and found.count(200) < 150
    assert status("GET", "/", {}, door, client=("5.6.7.8", 9)) == 200
    assert len(door._newcomers._left) == 2
    for k in range(10_001):
        door._newcomers.take(str(k))
    assert len(door._newcomers._left) == 10_000


def test_a_visitor_uploads_no_more_in_an_hour_than_they_may_keep(opened, monkeypatch):
    monkeypatch.setattr(entrance.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1 << 40}))
    limits, door = opened(True).caps, entrance.Gate(ok)
    a, b = ({"cookie": f"{entrance.COOKIE}={gate.signed(letter * 32)}", "content-length": str(limits.upload)} for letter in "ab")
    fit = limits.disk // limits.upload
    assert [status("POST", "/gradio_api/upload", a, door) for _ in range(fit + 1)] == [200] * fit + [429]
    assert status("POST", "/gradio_api/upload", b, door) == 200


def test_a_new_visitor_gets_a_cookie_that_scripts_cannot_read(opened, monkeypatch):
    opened(True)
    headers = answer("GET", "/", {})["headers"]
    (cookie,) = [value.decode() for name, value in headers if name == b"set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and gate.named(cookie.split(";")[0].split("=")[1])
    monkeypatch.setenv("SPACE_ID", "a/b")
    (cookie,) = [value.decode() for name, value in answer("GET", "/", {})["headers"] if name == b"set-cookie"]
    assert "SameSite=None; Secure; Partitioned" in cookie


def test_a_login_names_its_visitor_and_a_password_is_asked_for_at_our_own_addresses(opened):
    opened(True)
    who = []

    async def app(scope, receive, send):
        who.append(gate.visitor())
        await ok(scope, receive, send)

    door = entrance.Gate(app)
    session = {"session": {"oauth_info": {"userinfo": {"sub": "5f"}}}}
    assert status("GET", "/tiw/x", {}, door, **session) == 200 and who[-1] == "hugging face 5f"
    gradio = type("App", (), {"auth": {"ada": "x"}, "tokens": {"t": "ada"}, "cookie_id": "c"})()
    assert status("GET", "/tiw/x", {}, door, app=gradio) == 401
    assert status("GET", "/tiw/health", {}, door, app=gradio) == 200
    assert status("GET", "/tiw/x", {"cookie": "access-token-c=t"}, door, app=gradio) == 200 and who[-1] == "user ada"


def test_whether_the_app_is_there_costs_no_page(opened):
    """On a busy machine the page took Gradio more than the 3 seconds it gives itself at its start, and the app ended."""
    opened(True)
    reached = []
    door = entrance.Gate(lambda *call: ok(*call, reached=reached))
    assert status("HEAD", "/", {}, door) == 200 and reached == []


def test_bodies_are_bounded_whatever_their_length_says(opened):
    door = opened(True)
    cookie = {"cookie": f"{entrance.COOKIE}={gate.signed('a' * 32)}"}
    big = b'"' + b"a" * door.caps.body + b'"'
    assert status("POST", "/gradio_api/queue/join", cookie, body=big) == 413
    assert status("POST", "/gradio_api/queue/join", {**cookie, "content-length": str(10**14)}, body=b"{}") == 413
    assert status("POST", "/gradio_api/upload", cookie, body=b"x") == 411
    assert status("POST", "/gradio_api/upload", {**cookie, "content-length": str(10**12)}, body=b"x") == 413
    assert status("POST", "/gradio_api/upload", {**cookie, "content-length": "1"}, body=b"xx", door=entrance.Gate(reading)) == 413
    assert status("POST", "/gradio_api/upload", {**cookie, "content-length": "2"}, body=b"xx", door=entrance.Gate(reading)) == 200


def test_an_upload_leaves_room_on_the_disk(opened, monkeypatch):
    door = opened(True)
    cookie = {"cookie": f"{entrance.COOKIE}={gate.signed('a' * 32)}", "content-length": "1000"}
    for free, wanted in ((door.caps.reserve + 999, 507), (door.caps.reserve + 1001, 200)):
        monkeypatch.setattr(entrance.shutil, "disk_usage", lambda _path, free=free: type("Usage", (), {"free": free}))
        assert status("POST", "/gradio_api/upload", cookie, body=b"x") == wanted


def test_a_crowd_of_new_visitors_uploads_no_more_than_the_app_keeps(opened, monkeypatch, tmp_path):
    """Each has a quota of their own, and what is on its way was counted for each alone."""
    monkeypatch.setattr(entrance.shutil, "disk_usage", lambda _path: SimpleNamespace(free=1 << 40))
    monkeypatch.setattr(gate, "DOOR", replace(opened(True), caps=replace(gate.DOOR.caps, disk_all=3000)))
    for place in ("uploads/of-one", "incoming"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "a.zip").write_bytes(bytes(500))
    door, taken = entrance.Gate(reading), []
    end = asyncio.Event()

    def upload(who, size):
        cookie = gate.signed(f"{who:032x}")

        async def coming():
            taken.append(who)
            await end.wait()
            return {"type": "http.request", "body": b"x", "more_body": False}

        headers = {"cookie": f"{entrance.COOKIE}={cookie}", "content-length": str(size)}
        return asyncio.create_task(ask("POST", "/gradio_api/upload", headers, door, coming=coming))

    async def crowd():
        held = [upload(who, 900) for who in (1, 2)]
        while len(taken) < 2:
            await asyncio.sleep(0.01)
        refused = await asyncio.wait_for(upload(3, 900), 5)
        small = upload(4, 100)
        end.set()
        answers = [(await one)["status"] for one in (*held, small)]
        return refused["status"], answers, (await upload(5, 1900))["status"], door._coming

    assert asyncio.run(crowd()) == (507, [200, 200, 200], 200, 0)
    assert 3 not in taken, "no byte of it was read"


@pytest.mark.parametrize("public", [True, False])
def test_what_a_browser_may_do_with_an_answer(opened, public):
    """No script of another host, no guessing of types; nobody else's frame but on a Space, where the page stands in one."""
    opened(public)
    found = {name.decode(): value.decode() for name, value in answer("GET", "/", {"host": "localhost"})["headers"]}
    policy = dict(part.strip().partition(" ")[::2] for part in found["content-security-policy"].split(";"))
    assert "http" not in policy["default-src"] and "*" not in policy["default-src"] and policy["object-src"] == "'none'"
    assert (policy["base-uri"], policy["form-action"]) == ("'self'", "'self'")
    assert (found["x-content-type-options"], found["referrer-policy"]) == ("nosniff", "same-origin")
    assert found.get("x-frame-options") == (None if public else "SAMEORIGIN")


def test_a_web_socket_is_closed_before_anything_hears_it(opened):
    """It would pass neither the paces nor the check of bodies."""
    opened(True)
    reached, sent = [], []

    async def send(message):
        sent.append(message["type"])

    door = entrance.Gate(lambda *call: ok(*call, reached=reached))
    asyncio.run(door({"type": "websocket", "path": "/gradio_api/queue/join", "headers": []}, None, send))
    assert sent == ["websocket.close"] and reached == []


def test_whatever_breaks_inside_is_told_to_the_log_alone(opened):
    opened(False)

    async def broken(*_call):
        raise RuntimeError("/home/secret")

    found = answer("GET", "/", {"host": "localhost"}, entrance.Gate(broken))
    assert found["status"] == 500 and b"secret" not in found["body"]


async def ok(scope, receive, send, reached=None):
    if reached is not None:
        reached.append(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def reading(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await ok(scope, receive, send)


def answer(*request, **more):
    """What a request gets: status, headers and body."""
    return asyncio.run(ask(*request, **more))


async def many(count, *request):
    return [await ask(*request) for _ in range(count)]


async def ask(method, path, headers, door=None, body=b"", coming=None, **scope):
    sent, parts = {}, [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message):
        sent.update({name: value for name, value in message.items() if name != "type"})

    about = {"type": "http", "method": method, "path": path, "client": ("1.2.3.4", 5), **scope}
    about["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]
    await (door or entrance.Gate(ok))(about, coming or receive, send)
    if sent["status"] >= 400 and sent["body"]:
        assert set(json.loads(sent["body"])) == {"detail", "error"}
    return sent


def status(*request, **more):
    return answer(*request, **more)["status"]
