"""How the stripe library reaches Stripe: its own httpx client passes bodies in a way that httpx deprecates."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx
from stripe import APIConnectionError, HTTPClient

# Two calls end within the minute that the till gives an attempt; a call as a whole, also one that drips.
CALL_SECONDS: Final = 25.0
CONNECT_SECONDS: Final = 4.0


class StripeHttp(HTTPClient):
    """One pool of connections; no redirects, no repeats."""

    name = "httpx"

    def __init__(self) -> None:
        super().__init__()
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS))

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Raises APIConnectionError where there is no whole answer in time."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                answer = await self._client.request(method, url, headers=headers, content=post_data)
        except (httpx.HTTPError, TimeoutError) as problem:
            reason = f"no answer: {type(problem).__name__}"
            raise APIConnectionError(reason) from problem  # type: ignore[no-untyped-call]  # so it is there
        return answer.content, answer.status_code, answer.headers

    async def close_async(self) -> None:
        await self._client.aclose()
