"""Who else may vouch for a shopper: what an identity provider tells us, and how it is asked.

All calls to a provider raise Unauthenticated login_failed for what it does not vouch for, and Unavailable
where it does not answer in time; none of them holds a transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

# A shopper has so long to log in at the provider; the code that they come back with has this long.
ATTEMPT_SECONDS: Final = 600
HANDOVER_SECONDS: Final = 60
_MOST_SUBJECT: Final = 255


class VerifiedIdentity(msgspec.Struct, frozen=True):
    """Somebody whom a provider knows. Issuer and subject never change; all else may, and is a proposal.

    `email_verified` is True only where the provider itself says so in this very answer.
    """

    issuer: str
    subject: str
    email: str | None = None
    email_verified: bool = False
    name: str = ""
    given_name: str = ""
    family_name: str = ""


def is_subject(text: str) -> bool:
    """Whether this can name somebody at a provider (OpenID Connect Core 1.0, section 2)."""
    return 0 < len(text) <= _MOST_SUBJECT and text.isascii() and text.isprintable()


class Attempt(msgspec.Struct, frozen=True):
    """A login by redirect that has begun: what its end must match.

    `binding` is a digest of the browser's mark; `challenge` that of a secret of whoever will finish, where
    that is not this browser (RFC 7636, S256).
    """

    store_id: int
    provider: str
    nonce: str
    verifier: str
    binding: str
    challenge: str | None = None


class Handover(msgspec.Struct, frozen=True):
    """A login by redirect that the provider has confirmed, until the shop's page comes for it."""

    store_id: int
    provider: str
    identity: VerifiedIdentity
    binding: str
    made_at: datetime
    challenge: str | None = None


class IdTokenProvider(Protocol):
    """Vouches by a signed ID token that the shop's page was given."""

    async def verify(self, token: str, *, nonce: str | None, now: datetime) -> VerifiedIdentity: ...

    async def close(self) -> None: ...


class AccessTokenProvider(Protocol):
    """Vouches by an access token that the shop's page was given."""

    async def verify(self, token: str, *, now: datetime) -> VerifiedIdentity: ...

    async def close(self) -> None: ...


class RedirectProvider(Protocol):
    """Vouches by sending the shopper's browser there and back (authorization code with PKCE)."""

    async def begin(self, *, state: str, nonce: str, verifier: str, redirect_uri: str) -> str:
        """The address at the provider where the shopper logs in."""
        ...

    async def finish(
        self, code: str, *, issuer: str | None, nonce: str, verifier: str, redirect_uri: str, now: datetime
    ) -> VerifiedIdentity:
        """Turn the code that came back into an identity; `issuer` is what came back beside it (RFC 9207)."""
        ...

    async def close(self) -> None: ...


class LoginRecords(Protocol):
    """Where logins by redirect wait, under digests of their secrets. Raises Unavailable while it is away."""

    async def keep(self, secret: str, record: msgspec.Struct, *, seconds: int) -> None: ...

    async def take(self, secret: str, kind: type[T]) -> T | None:
        """The record, which is gone from then on; of two callers one gets it."""
        ...

    async def use_once(self, word: str, *, seconds: int) -> bool:
        """Whether nobody has used this word so long ago."""
        ...


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers that this shop trusts; none is the default."""

    google: IdTokenProvider | None = None
    facebook: AccessTokenProvider | None = None
    redirects: Mapping[str, RedirectProvider] = field(default_factory=dict)

    async def close(self) -> None:
        for provider in (self.google, self.facebook, *self.redirects.values()):
            if provider is not None:
                await provider.close()
