"""Where an OpenID Connect provider can be asked for what: its own description of itself, kept for an hour."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from app.integrations.oauth.http import ProviderHttp
from app.integrations.oauth.outcomes import away
from app.kit.errors import Unavailable

FRESH_SECONDS: Final = 3600.0
RETRY_SECONDS: Final = 5.0


class Metadata(msgspec.Struct, frozen=True):
    """What of OpenID Connect Discovery 1.0, section 3, is of use here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Discovery:
    """The description of one provider; an old one serves while the provider does not answer."""

    def __init__(
        self, provider: str, issuer: str, http: ProviderHttp, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._issuer = issuer
        self._http = http
        self._clock = clock
        self._metadata: Metadata | None = None
        self._next_try = float("-inf")
        self._lock = asyncio.Lock()

    async def read(self) -> Metadata:
        """Raises Unavailable where it was never to be had, or says something else than who was asked."""
        if self._clock() >= self._next_try:
            async with self._lock:
                if self._clock() >= self._next_try:
                    await self._refresh()
        if self._metadata is None:
            raise away(self._provider, "no description")
        return self._metadata

    async def key_set(self) -> dict[str, Any]:
        return await self._http.document((await self.read()).jwks_uri)

    async def _refresh(self) -> None:
        url = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            self._metadata = self._check(await self._http.document(url))
        except Unavailable:
            self._next_try = self._clock() + RETRY_SECONDS
            return
        self._next_try = self._clock() + FRESH_SECONDS

    def _check(self, found: dict[str, Any]) -> Metadata:
        try:
            metadata = msgspec.convert(found, Metadata)
        except msgspec.ValidationError as problem:
            raise away(self._provider, f"its description: {problem}") from None
        # A provider that describes another one would have us believe the tokens of that other one.
        if metadata.issuer.rstrip("/") != self._issuer.rstrip("/"):
            raise away(self._provider, "its description is of another issuer")
        addresses = (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
        allowed = {"https", urlsplit(self._issuer).scheme}
        for address in (*addresses, metadata.userinfo_endpoint or metadata.issuer):
            if urlsplit(address).scheme not in allowed:
                raise away(self._provider, "its description leads to an address without https")
        return metadata
