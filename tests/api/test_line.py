"""The line by which tests call a shop: whole answers come as they are, and what is none is no answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.line import Line

ANSWERS = {
    "whole": (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nContent-Length: 3\r\n\r\nabc",
        b"abc",
    ),
    "in chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"abcde",
    ),
    "after a hint": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", b"a"),
    "without a body": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
}
NONE = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
    "more than it says": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
    "no length": b"HTTP/1.1 200 OK\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH\r\n\r\n",
    "a header without a name": b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
}


@asynccontextmanager
async def saying(sent: bytes, *, hangs: bool = False) -> AsyncIterator[tuple[httpx.AsyncClient, list[int]]]:
    """A client of a server that says this to every call, and how many calls each of its connections had."""
    calls: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(0)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                calls[-1] += 1
                writer.write(sent)
                if sent in NONE.values() and not hangs:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=Line()) as client:
        yield client, calls


@pytest.mark.parametrize("which", ANSWERS)
async def test_a_whole_answer_comes_as_it_is_and_the_connection_is_kept(which: str) -> None:
    sent, body = ANSWERS[which]
    async with saying(sent) as (client, calls):
        for _ in range(2):
            answer = await client.get("/")
            assert answer.content == body
    assert calls == [2]
    if which == "whole":
        assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("which", NONE)
async def test_what_is_no_answer_is_an_error(which: str) -> None:
    async with saying(NONE[which]) as (client, calls):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")
    assert calls == [1]


async def test_a_server_that_says_nothing_is_waited_for_as_long_as_asked() -> None:
    async with saying(b"", hangs=True) as (client, calls):
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=0.05)
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=0.05)
    assert calls == [1, 1]


async def test_nobody_takes_the_call() -> None:
    async with saying(b"") as (client, _):
        address = client.base_url
    async with httpx.AsyncClient(base_url=address, transport=Line()) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/")
