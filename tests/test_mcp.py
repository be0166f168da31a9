"""What only reads, as tools for other programs, by a client that is not ours."""

import asyncio
from contextlib import closing

import pytest
from served import Visitor, studio

from ui import api, entrance

mcp = pytest.importorskip("mcp", reason="mcp is not installed (requirements-dev.txt)")
http = pytest.importorskip("mcp.client.streamable_http")


@pytest.fixture(scope="module")
def address(home):
    with studio(home, "--public", "--mcp") as address:
        yield address


@pytest.fixture
def alice(address):
    with closing(Visitor(address)) as visitor:
        yield visitor


@pytest.fixture
def bob(address):
    with closing(Visitor(address)) as visitor:
        yield visitor


@pytest.fixture
def tools(address):
    """One connection of this visitor: the names of the tools, and whether each call (name, arguments) failed and what it answered."""

    async def connected(visitor, calls):
        headers = {entrance.HEADER.decode(): visitor.http.cookies[entrance.COOKIE]}
        async with (
            http.create_mcp_http_client(headers=headers) as client,
            http.streamable_http_client(f"{address}/gradio_api/mcp/", http_client=client) as (read, write, _),
            mcp.ClientSession(read, write) as session,
        ):
            await session.initialize()
            known = {tool.name for tool in (await session.list_tools()).tools}
            answers = [await session.call_tool(name, arguments) for name, arguments in calls]
            return known, [(answer.isError, " ".join(part.text for part in answer.content)) for answer in answers]

    return lambda visitor, *calls: asyncio.run(connected(visitor, calls))


def test_the_tools_are_what_only_reads(tools, alice):
    known, answers = tools(alice, ("audit", {}), ("stop_run", {"run": "e" * 32}), ("upload", {}))
    assert known == {function.__name__ for function in api.READ}
    assert all(failed for failed, _ in answers) and alice.api("runs") == []


def test_each_caller_sees_their_own_runs_alone(tools, alice, bob):
    run = alice.api("audit", scored=200)  # its other end points are as without MCP
    (_, (failed, own)), (_, (bobs, foreign)) = (tools(visitor, ("runs", {}), ("run_status", {"run": run}))[1] for visitor in (alice, bob))
    assert run in own or not failed
    assert "running" in own or "queued" in own, own
    assert bobs and "there is no run with this id" in foreign
    assert run in tools(alice, ("runs", {}))[1][0][1] and run not in tools(bob, ("runs", {}))[1][0][1]


def test_what_ships_with_the_app_is_everybodys(tools, bob):
    example = next(run for run in bob.call("opened", {}, {}, [], [])["data"][0].values() if run)
    (failed, downloads), (wrong, _) = tools(bob, ("downloads", {"run": example}), ("ratio_histogram", {"run": "../x"}))[1]
    assert not failed and "report.html" in downloads and wrong
