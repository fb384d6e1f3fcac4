"""Logins by redirect at any OpenID Connect provider: authorization code with PKCE (RFC 6749, 7636, 9207).

Authlib's client builds the address and trades the code; what comes back is checked here.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from app.domain.customers.providers import VerifiedIdentity
from app.integrations.oauth.discovery import Discovery, Metadata
from app.integrations.oauth.google import spellings
from app.integrations.oauth.http import ProviderHttp, asking, client_options
from app.integrations.oauth.id_tokens import IdClaims, check_id_token, identity_of
from app.integrations.oauth.keys import ProviderKeys
from app.integrations.oauth.outcomes import away, refused

_BASIC: Final = "client_secret_basic"
_POST: Final = "client_secret_post"


class OidcProvider:
    """Implements RedirectProvider."""

    def __init__(
        self, *, name: str, issuer: str, client_id: str, client_secret: str, scopes: tuple[str, ...]
    ) -> None:
        self._name = name
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = " ".join(scopes)
        self._http = ProviderHttp(name)
        self._discovery = Discovery(name, issuer, self._http)
        self._keys = ProviderKeys(name, self._discovery.key_set)

    async def begin(self, *, state: str, nonce: str, verifier: str, redirect_uri: str) -> str:
        metadata = await self._discovery.read()
        async with self._client(metadata, redirect_uri) as client:
            address, _ = client.create_authorization_url(
                metadata.authorization_endpoint, state=state, code_verifier=verifier, nonce=nonce
            )
        return str(address)

    async def finish(
        self, code: str, *, issuer: str | None, nonce: str, verifier: str, redirect_uri: str, now: datetime
    ) -> VerifiedIdentity:
        metadata = await self._discovery.read()
        promised = metadata.authorization_response_iss_parameter_supported
        if issuer != metadata.issuer and (promised or issuer is not None):
            raise refused(self._name, "the answer came from another provider")
        tokens = await self._trade(metadata, code, verifier, redirect_uri)
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise refused(self._name, "no ID token")
        claims = await check_id_token(
            id_token,
            provider=self._name,
            keys=self._keys,
            issuers=spellings(metadata.issuer),
            audiences={self._client_id},
            nonce=nonce,
            now=now,
        )
        if claims.email is None and metadata.userinfo_endpoint:
            claims = await self._complete(claims, metadata.userinfo_endpoint, tokens.get("access_token"))
        return identity_of(claims, issuer=metadata.issuer)

    async def _trade(
        self, metadata: Metadata, code: str, verifier: str, redirect_uri: str
    ) -> Mapping[str, Any]:
        """The tokens for a code (RFC 6749, section 4.1.3)."""
        async with self._client(metadata, redirect_uri) as client, asking(self._name):
            try:
                tokens: Mapping[str, Any] = await client.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                    redirect_uri=redirect_uri,
                )
            except OAuthError as problem:
                raise refused(self._name, f"the code was refused: {str(problem.error)[:40]}") from None
            except (ValueError, TypeError, AttributeError, RecursionError):
                # What Authlib makes of an answer that is no JSON object.
                raise away(self._name, "its answer for a code cannot be read") from None
        return tokens

    async def _complete(self, claims: IdClaims, url: str, access_token: Any) -> IdClaims:
        """The claims with what only the userinfo endpoint tells (OpenID Connect Core 1.0, section 5.3)."""
        if not isinstance(access_token, str):
            return claims
        status, told = await self._http.get(url, bearer=access_token)
        if status != 200:
            raise away(self._name, f"userinfo: status {status}")
        # It may be another user's: the specification demands that the subjects are compared.
        if told.get("sub") != claims.sub:
            raise refused(self._name, "userinfo is about somebody else")
        wanted = ("email", "email_verified", "name", "given_name", "family_name")
        try:
            return msgspec.convert(
                msgspec.to_builtins(claims) | {name: told[name] for name in wanted if name in told}, IdClaims
            )
        except msgspec.ValidationError:
            raise refused(self._name, "userinfo cannot be read") from None

    def _client(self, metadata: Metadata, redirect_uri: str) -> Any:
        methods = metadata.token_endpoint_auth_methods_supported
        method = _POST if _BASIC not in methods and _POST in methods else _BASIC
        return AsyncOAuth2Client(
            self._client_id,
            self._client_secret or None,
            token_endpoint_auth_method=method if self._client_secret else "none",
            scope=self._scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            **client_options(),
        )

    async def close(self) -> None:
        await self._http.close()
