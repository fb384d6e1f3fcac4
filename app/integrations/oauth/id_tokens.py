"""Whether an ID token is good: its signature, who made it, for whom, until when, and in answer to what.

OpenID Connect Core 1.0, section 3.1.3.7, with what RFC 8725 adds. What a token says about how it wants to be
checked is never followed: the algorithm is one of ours, the key one that the provider published.
"""

from collections.abc import Collection
from datetime import datetime
from hmac import compare_digest
from typing import Any, Final

import msgspec
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry, deserialize_compact
from joserfc.util import urlsafe_b64decode

from app.domain.customers.providers import VerifiedIdentity, is_subject
from app.integrations.oauth.keys import KEY_TYPES, ProviderKeys
from app.integrations.oauth.outcomes import refused

MOST_LETTERS: Final = 16 * 1024
# How far the clocks of two machines may differ.
LEEWAY_SECONDS: Final = 60
# An ID token tells of a login that happens now. Nonces are remembered no longer than this.
MOST_AGE_SECONDS: Final = 86_400
# A key that comes with the token proves nothing, and what must be understood is not understood here.
_FORBIDDEN: Final = frozenset({"jwk", "jku", "x5c", "x5u", "crit", "b64", "zip", "enc"})
_UNREADABLE: Final = (JoseError, msgspec.MsgspecError, ValueError, TypeError, RecursionError)


class IdClaims(msgspec.Struct, frozen=True):
    """What of an ID token counts; a claim of another type makes the whole token worthless."""

    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    iat: float
    nbf: float | None = None
    nonce: str | None = None
    azp: str | None = None
    email: str | None = None
    # Some providers write the boolean as a text.
    email_verified: bool | str | None = None
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None
    typ: str | None = None


async def check_id_token(
    token: str,
    *,
    provider: str,
    keys: ProviderKeys,
    issuers: Collection[str],
    audiences: Collection[str],
    nonce: str | None,
    now: datetime,
) -> IdClaims:
    """The claims of a token that holds. Raises Unauthenticated for any other, Unavailable without keys.

    `nonce` is what the token must answer; None where the caller did not choose one.
    """
    header = _read_header(token, provider)
    key = await keys.find(header.kid, header.alg)
    try:
        registry = JWSRegistry(algorithms=list(KEY_TYPES), strict_check_header=False)
        signed = deserialize_compact(token, key, registry=registry)
        claims = msgspec.json.decode(signed.payload or b"", type=IdClaims)
    except _UNREADABLE as problem:
        raise refused(provider, f"signature or claims: {type(problem).__name__}") from None
    fault = _find_fault(claims, issuers=issuers, audiences=audiences, nonce=nonce, now=now.timestamp())
    if fault:
        raise refused(provider, fault)
    return claims


def identity_of(claims: IdClaims, *, issuer: str) -> VerifiedIdentity:
    return VerifiedIdentity(
        issuer=issuer,
        subject=claims.sub,
        email=claims.email or None,
        email_verified=claims.email_verified is True or claims.email_verified == "true",
        name=claims.name or "",
        given_name=claims.given_name or "",
        family_name=claims.family_name or "",
    )


def _read_header(token: str, provider: str) -> _Header:
    if len(token) > MOST_LETTERS:
        raise refused(provider, "too large")
    try:
        raw: dict[str, Any] = msgspec.json.decode(
            urlsafe_b64decode(token.partition(".")[0].encode()), type=dict[str, Any]
        )
        header = msgspec.convert(raw, _Header)
    except _UNREADABLE:
        raise refused(provider, "no readable header") from None
    if header.alg not in KEY_TYPES:
        raise refused(provider, "algorithm")
    if not _FORBIDDEN.isdisjoint(raw):
        raise refused(provider, "a header that wants to choose its key")
    # Access tokens (RFC 9068) and logout tokens are signed by the same keys and name their type.
    if header.typ is not None and header.typ.upper() != "JWT":
        raise refused(provider, "another kind of token")
    return header


def _find_fault(  # noqa: PLR0911 - one line per rule
    claims: IdClaims, *, issuers: Collection[str], audiences: Collection[str], nonce: str | None, now: float
) -> str:
    """What is wrong, for the log; empty where nothing is."""
    if claims.iss not in issuers:
        return "issuer"
    named = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if not set(named) & set(audiences):
        return "audience"
    if len(named) > 1 and claims.azp is None:
        return "several audiences, and nobody for whom it was made"
    if claims.azp is not None and claims.azp not in audiences:
        return "made for somebody else"
    if claims.exp <= now - LEEWAY_SECONDS:
        return "expired"
    if claims.iat < now - MOST_AGE_SECONDS:
        return "made long ago"
    if max(claims.iat, claims.nbf or 0) > now + LEEWAY_SECONDS:
        return "not yet valid"
    if not is_subject(claims.sub):
        return "subject"
    if nonce is not None and not compare_digest((claims.nonce or "").encode(), nonce.encode()):
        return "nonce"
    return ""
