"""How providers are called: never long, never far, never much.

Every call ends within CALL_SECONDS, follows no redirect, and reads no more than MOST_BYTES of an answer.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

import httpx2
import msgspec

from app.integrations.oauth.outcomes import away

CALL_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 3.0
MOST_BYTES: Final = 256 * 1024


class _Capped(httpx2.AsyncByteStream):
    """An answer that breaks off where it gets too large."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for chunk in self._stream:
            total += len(chunk)
            if total > MOST_BYTES:
                raise httpx2.ReadError("the answer is too large")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _cap(response: httpx2.Response) -> None:
    # What we did not ask for could grow a thousandfold when it is unpacked.
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("the answer is packed")
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Capped(response.stream)


@cache
def _trusted() -> ssl.SSLContext:
    # Reading the list of authorities takes a tenth of a second, which no login should pay again.
    return httpx2.create_ssl_context()


def client_options() -> dict[str, Any]:
    """What every client of a provider is made with, Authlib's among them."""
    return {
        "verify": _trusted(),
        "timeout": httpx2.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS),
        "follow_redirects": False,
        "headers": {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "storefront"},
        "event_hooks": {"response": [_cap]},
    }


@asynccontextmanager
async def asking(provider: str) -> AsyncIterator[None]:
    """The time limit around one call. Raises Unavailable for whatever keeps an answer from coming."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as problem:
        # Their texts may hold the address, and the address secrets; so may the chain of causes.
        raise away(provider, type(problem).__name__) from None


def read_object(provider: str, response: httpx2.Response) -> dict[str, Any]:
    """The JSON object of an answer. Raises Unavailable where it is something else."""
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise away(provider, f"no JSON object with status {response.status_code}") from None


class ProviderHttp:
    """One pool of connections to one provider."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self._client = httpx2.AsyncClient(**client_options())

    async def get(
        self, url: str, *, params: dict[str, str] | None = None, bearer: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of the answer. Raises Unavailable, for a fault of the server too."""
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        async with asking(self.provider):
            response = await self._client.get(url, params=params, headers=headers)
        if response.status_code >= 500:
            raise away(self.provider, f"status {response.status_code}")
        return response.status_code, read_object(self.provider, response)

    async def document(self, url: str) -> dict[str, Any]:
        """A public document of the provider. Raises Unavailable for every status but 200."""
        status, found = await self.get(url)
        if status != 200:
            raise away(self.provider, f"status {status}")
        return found

    async def close(self) -> None:
        await self._client.aclose()
