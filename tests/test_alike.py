"""What is the same for everybody is made once; what may be somebody's own never is."""

import asyncio
import gzip

import httpx
import pytest
from served import studio

from ui import alike
from ui.alike import Alike


class Behind:
    """The app behind it: says what it was asked for and how often, and gives whoever logs in their own page. As Gradio does, it leaves its
    answer half said once it hears that the client is gone."""

    def __init__(self):
        self.asked, self.auth = [], None

    async def __call__(self, scope, receive, send):
        headers = dict(scope["headers"])
        self.asked.append(scope["path"])
        kind = {"/assets/a.js": b"text/javascript", "/assets/a.woff2": b"font/woff2"}.get(scope["path"], b"text/html; charset=utf-8")
        found = 404 if scope["path"] == "/assets/gone.js" else 200
        who = headers.get(b"cookie", b"") if self.auth else b""
        body = b"x" * 3000 + who + headers.get(b"host", b"") + headers.get(b"x-forwarded-host", b"")
        more = [(b"set-cookie", b"a=b")] if scope["path"] == "/assets/cookie.js" else []
        await send({"type": "http.response.start", "status": found, "headers": [(b"content-type", kind), *more]})
        if scope["path"] == "/assets/broken.js":
            raise OSError("no such disk")
        gone = asyncio.create_task(heard_of_the_end(receive))
        await asyncio.sleep(0.01)
        if gone.done() or scope["path"] == "/assets/half.js":
            return
        gone.cancel()
        await send({"type": "http.response.body", "body": body[:10], "more_body": True})
        await send({"type": "http.response.body", "body": body[10:] * (10_000 if scope["path"] == "/static/large.wasm" else 1)})


async def heard_of_the_end(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.fixture
def behind():
    return Behind()


@pytest.fixture
def kept(behind):
    return Alike(behind)


@pytest.fixture
def ask(behind, kept):
    """GET of so many at once; their answers."""

    async def named(scope, receive, send):
        await kept({**scope, "app": behind}, receive, send)

    def ask(path, times=1, method="GET", **headers):
        async def all_of_them():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(named), base_url="http://a") as client:
                said = {name.replace("_", "-"): value for name, value in headers.items()}
                return await asyncio.gather(*(client.request(method, path, headers=said) for _ in range(times)))

        return asyncio.run(all_of_them())

    return ask


def test_thirty_at_once_have_a_file_made_once_and_packed(behind, ask):
    found = ask("/assets/a.js", 30)
    assert len(behind.asked) == 1 and {answer.content for answer in found} == {b"x" * 3000 + b"a"}
    said = found[0].headers
    assert said["content-encoding"] == "gzip" and int(said["content-length"]) < 200 and "immutable" in said["cache-control"]
    assert "content-encoding" not in ask("/assets/a.woff2")[0].headers and "cache-control" not in ask("/static/a.js")[0].headers


def test_the_page_is_made_once_for_each_name_that_it_is_asked_by(behind, ask):
    """Its addresses begin with that name: who forges one must not change the page of others."""
    ours = ask("/?run=1&__theme=dark", 5, x_forwarded_for="1.2.3.4")
    forged = ask("/", x_forwarded_host="evil.example")
    assert b"evil" in forged[0].content and behind.asked == ["/", "/"]
    assert {answer.content for answer in [*ours[1:], *ask("/")]} == {ours[0].content} and len(behind.asked) == 2
    assert ask("/", host="b")[0].content.endswith(b"b") and len(behind.asked) == 3


def test_where_one_can_log_in_everybody_gets_their_own_page(behind, ask, monkeypatch):
    behind.auth = {"ada": "secret"}
    assert [ask("/", cookie=who)[0].content[3000:-1] for who in ("ada", "ben", "ada")] == [b"ada", b"ben", b"ada"]
    behind.auth = None
    monkeypatch.setenv("OAUTH_CLIENT_ID", "x")
    ask("/", 2)
    assert len(behind.asked) == 5


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/assets/gone.js", {}),
        ("/assets/cookie.js", {}),
        ("/assets/a.js", {"range": "bytes=0-9"}),
        ("/assets/a.js", {"if_none_match": "x"}),
        ("/assets/a.js", {"accept_encoding": "br"}),
        ("/assets/a.js", {"accept_encoding": "gzip;q=0"}),
        ("/assets/a.js", {"accept_encoding": "x-gzip"}),
        ("/assets//a.js", {}),
        ("/?deep_link=x", {}),
        ("/?run=1&page=x", {}),
        ("/config", {}),
        ("/tiw/1/report.html", {}),
        ("/gradio_api/info", {}),
    ],
)
def test_what_is_no_whole_plain_file_is_asked_for_each_time(behind, ask, path, headers):
    answers = ask(path, 3, **headers)
    assert len(behind.asked) >= 3 and all(answer.content.startswith(b"xxx") for answer in answers)
    ask(path, **headers)
    assert len(behind.asked) >= 4


def test_the_start_and_the_end_of_the_app_pass():
    """What works beside the app, as its MCP server does, begins and ends with it."""
    heard = []

    async def app(scope, receive, send):
        heard.append(scope["type"])

    asyncio.run(Alike(app)({"type": "lifespan"}, None, None))
    assert heard == ["lifespan"]


def test_a_post_is_never_answered_from_memory(behind, ask):
    ask("/", 2, method="POST")
    assert len(behind.asked) == 2


def raw(kept, path, receive, send):
    """One request without a library between."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"accept-encoding", b"gzip, br")], "query_string": b""}
    return kept(scope, receive, send)


def test_who_leaves_early_leaves_no_half_of_a_file_to_others(behind, kept, ask):
    """As on a reload in the middle of the first load: the file was empty for everyone from then on, in their browsers for a year."""

    async def gone():
        return {"type": "http.disconnect"}

    async def nowhere(message):
        raise OSError("the client is gone")

    async def leave():
        asking = asyncio.create_task(raw(kept, "/assets/a.js", gone, nowhere))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()  # while it is made
        with pytest.raises((OSError, asyncio.CancelledError)):
            await asking
        with pytest.raises(OSError, match="gone"):
            await raw(kept, "/assets/b.js", gone, nowhere)  # while it is sent
        await asyncio.sleep(0.05)

    asyncio.run(leave())
    assert {ask(path)[0].content for path in ("/assets/a.js", "/assets/b.js")} == {b"x" * 3000} and len(behind.asked) == 2


@pytest.mark.parametrize("path", ["/assets/half.js", "/assets/./a.js"])
def test_what_was_left_half_said_is_not_kept_nor_a_file_under_another_name(behind, kept, path):
    async def waits():
        await asyncio.Event().wait()

    async def deaf(message):
        pass

    for _ in range(3):
        asyncio.run(raw(kept, path, waits, deaf))
    assert len(behind.asked) >= 3 and not kept._kept


def test_who_takes_nothing_of_a_large_file_holds_up_nobody(kept, ask):
    """It was sent while everyone who asked for anything new waited."""

    async def never(message=None):
        await asyncio.Event().wait()

    async def others():
        slow = asyncio.create_task(raw(kept, "/static/large.wasm", never, never))
        await asyncio.sleep(0.1)
        heard = []

        async def send(message):
            heard.append(message)

        await asyncio.wait_for(raw(kept, "/assets/a.js", never, send), 5)
        slow.cancel()
        return heard

    assert asyncio.run(others())[0]["status"] == 200


def test_a_fault_behind_it_is_told_to_all_who_asked_and_ends_with_them(behind, kept, ask):
    for _ in range(2):
        with pytest.raises(OSError, match="no such disk"):
            ask("/assets/broken.js", 3)
    assert ask("/assets/a.js")[0].status_code == 200 and not kept._making


def test_what_is_kept_is_bounded(behind, ask, monkeypatch):
    monkeypatch.setattr(alike, "ENTRY", 0)
    monkeypatch.setattr(alike, "MOST", 200)
    size = len(gzip.compress(b"x" * 3000 + b"a", 6))
    for k in range(20):
        ask(f"/assets/{k}.css")
    ask("/assets/19.css?1")
    assert len(behind.asked) == 20 and size < 200  # the last is there
    ask("/assets/0.css")
    assert len(behind.asked) == 21  # the first has gone


def test_gradios_page_depends_on_these_parts_of_a_request_alone(home):
    """Asked without gzip, each answer is Gradio's own."""
    ours = {name.decode() for name in alike.OF_ADDRESS}
    others = {
        "x-forwarded-for",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-original-host",
        "x-direct-url",
        "forwarded",
        "origin",
        "referer",
    }
    forged = dict.fromkeys(ours | others | {"user-agent", "accept-language"}, "elsewhere.example")
    forged |= {"x-forwarded-proto": "https", "x-gradio-server": "http://elsewhere.example", "cookie": "__theme=dark"}
    with studio(home, "--public") as address, httpx.Client(base_url=address, headers={"accept-encoding": "br"}) as client:
        usual = client.get("/").text
        changes = {name for name, value in forged.items() if client.get("/", headers={name: value}).text != usual}
        assert changes == ours
        assert {client.get("/", params=query).text for query in ({"run": "1"}, {"__theme": "dark"}, {"__sign": "x"})} == {usual}
        kept = [client.get("/", headers={"accept-encoding": "gzip"}) for _ in range(2)]
        assert {answer.text for answer in kept} == {usual} and kept[0].headers["content-encoding"] == "gzip"
        cookies = [httpx.get(address).headers["set-cookie"] for _ in range(2)]
        assert cookies[0] != cookies[1], "everyone is somebody else, on the same page"
