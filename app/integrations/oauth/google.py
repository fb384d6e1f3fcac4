"""Google's ID tokens: which of them are for this shop (developers.google.com/identity, "Verify the ID token")."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from app.domain.customers.providers import VerifiedIdentity
from app.integrations.oauth.discovery import Discovery
from app.integrations.oauth.http import ProviderHttp
from app.integrations.oauth.id_tokens import check_id_token, identity_of
from app.integrations.oauth.keys import ProviderKeys
from app.settings import GOOGLE_ISSUER

_PROVIDER: Final = "google"


def spellings(issuer: str) -> frozenset[str]:
    """Every way an issuer may write its own name in a token: Google documents a second one."""
    return frozenset({issuer, "accounts.google.com"} if issuer == GOOGLE_ISSUER else {issuer})


class GoogleTokens:
    """Implements IdTokenProvider. A token must be for one of the client ids, those of apps among them."""

    def __init__(self, *, client_ids: Collection[str], issuer: str, jwks_url: str) -> None:
        self._client_ids = client_ids
        self._issuer = issuer
        self._http = ProviderHttp(_PROVIDER)
        discovery = Discovery(_PROVIDER, issuer, self._http)
        fetch = (lambda: self._http.document(jwks_url)) if jwks_url else discovery.key_set
        self._keys = ProviderKeys(_PROVIDER, fetch)

    async def verify(self, token: str, *, nonce: str | None, now: datetime) -> VerifiedIdentity:
        claims = await check_id_token(
            token,
            provider=_PROVIDER,
            keys=self._keys,
            issuers=spellings(self._issuer),
            audiences=self._client_ids,
            nonce=nonce,
            now=now,
        )
        # One spelling for both, so that nobody has two accounts for one Google login.
        return identity_of(claims, issuer=self._issuer)

    async def close(self) -> None:
        await self._http.close()
