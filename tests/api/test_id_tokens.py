"""Which ID tokens log somebody in at Google's door, and that every other one is refused, however it is made."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jws

from app.domain.customers.providers import VerifiedIdentity
from app.integrations.oauth.google import GoogleTokens
from app.kit.errors import LOGIN_FAILED, Unauthenticated
from tests.standins.issuer import (
    CLIENT_ID,
    CURVE_KEY,
    FIRST_KEY,
    FOREIGN_KEY,
    SECOND_KEY,
    Issuer,
    issuer_stand_in,
    unsigned,
)

Make = Callable[[Issuer], str]
NOW = int(time.time())


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    async with issuer_stand_in() as made:
        made.keys = [FIRST_KEY, CURVE_KEY]
        yield made


@pytest.fixture(scope="module")
async def google(issuer: Issuer) -> AsyncIterator[GoogleTokens]:
    gateway = GoogleTokens(
        client_ids=(CLIENT_ID, "app-client"), issuer=issuer.url, jwks_url=f"{issuer.url}/jwks"
    )
    yield gateway
    await gateway.close()


async def verify(google: GoogleTokens, token: str, *, nonce: str | None = None) -> VerifiedIdentity:
    return await google.verify(token, nonce=nonce, now=datetime.now(UTC))


def claims_of(issuer: Issuer, **changed: Any) -> dict[str, Any]:
    """The claims of a good token."""
    body = issuer.id_token(**changed).split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def with_payload(issuer: Issuer, **changed: Any) -> str:
    """A good token whose payload was exchanged after it had been signed."""
    head, _, signature = issuer.id_token().split(".")
    body = unsigned({}, claims_of(issuer) | changed).split(".")[1]
    return f"{head}.{body}.{signature}"


def by_public_key(issuer: Issuer) -> str:
    """The old trick: the public key, which everybody has, as the secret of an HMAC."""
    head, body, _ = unsigned({"alg": "HS256", "kid": "first"}, claims_of(issuer)).split(".")
    mac = hmac.new(FIRST_KEY.as_pem(private=False), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


GOOD: dict[str, Make] = {
    "as Google makes them": lambda one: one.id_token(),
    "for another of our clients": lambda one: one.id_token(aud="app-client"),
    "for a list of clients that names ours as its maker": lambda one: one.id_token(
        aud=["other", CLIENT_ID], azp=CLIENT_ID
    ),
    "for one of our clients, made by another": lambda one: one.id_token(azp="app-client"),
    "signed on a curve": lambda one: one.id_token(key=CURVE_KEY, header={"alg": "ES256"}),
    "signed with PSS": lambda one: one.id_token(header={"alg": "PS256"}),
    "of a clock that is a little ahead": lambda one: one.id_token(iat=NOW + 30, nbf=NOW + 30),
    "with times in fractions": lambda one: one.id_token(iat=NOW - 0.5, exp=NOW + 3600.5),
    "without a type": lambda one: one.id_token(header={"typ": None}),
    "with a header field that means nothing here": lambda one: one.id_token(header={"x5t": "abc", "ver": 2}),
}

BAD: dict[str, Make] = {
    "for another client": lambda one: one.id_token(aud="somebody-else"),
    "for a list without ours": lambda one: one.id_token(aud=["a", "b"], azp=CLIENT_ID),
    "for nobody": lambda one: one.id_token(aud=None),
    "for an empty list": lambda one: one.id_token(aud=[]),
    "for several, made for nobody in particular": lambda one: one.id_token(aud=[CLIENT_ID, "other"]),
    "for ours, made for another": lambda one: one.id_token(azp="somebody-else"),
    "for a number": lambda one: one.id_token(aud=12),
    "of another issuer": lambda one: one.id_token(iss="https://evil.example"),
    "of an issuer that begins alike": lambda one: one.id_token(iss=f"{one.url}.evil.example"),
    "of an issuer with a slash more": lambda one: one.id_token(iss=f"{one.url}/"),
    "of Google's short name, where another issuer is set": lambda one: one.id_token(iss="accounts.google.com"),
    "of no issuer": lambda one: one.id_token(iss=None),
    "expired": lambda one: one.id_token(exp=NOW - 61),
    "expired long ago": lambda one: one.id_token(exp=0),
    "that never expires": lambda one: one.id_token(exp=None),
    "that expires at no time": lambda one: one.id_token(exp="2099-01-01"),
    "that expires truly": lambda one: one.id_token(exp=True),
    "that expires at no number": lambda one: one.id_token(exp=float("nan")),
    "that expires at the end of numbers": lambda one: one.id_token(exp=float("inf")),
    "that expires past every number": lambda one: one.id_token(exp=10**400),
    "not yet valid": lambda one: one.id_token(nbf=NOW + 86_400),
    "made in the future": lambda one: one.id_token(iat=NOW + 86_400),
    "made long ago, for ever": lambda one: one.id_token(iat=NOW - 90_000),
    "made at no time": lambda one: one.id_token(iat=None),
    "without a subject": lambda one: one.id_token(sub=None),
    "with an empty subject": lambda one: one.id_token(sub=""),
    "with a subject that is a number": lambda one: one.id_token(sub=4711),
    "with a subject that is too long": lambda one: one.id_token(sub="s" * 256),
    "with a subject that no table takes": lambda one: one.id_token(sub="ada\x00"),
    "with another user's subject put in": lambda one: with_payload(one, sub="bob-2"),
    "with another address put in": lambda one: with_payload(one, email="bob@example.com"),
    "with an address that is a list": lambda one: one.id_token(email=["ada@example.com"]),
    "with a verification that is a number": lambda one: one.id_token(email_verified=1),
    "by the public key as a secret": by_public_key,
    "by an algorithm of secrets": lambda one: unsigned(
        {"alg": "HS512", "kid": "first"}, claims_of(one), b"x" * 64
    ),
    "by another key under the same id": lambda one: one.id_token(key=FOREIGN_KEY),
    "by a key that is not published": lambda one: one.id_token(key=SECOND_KEY),
    "without a key id, where there are several": lambda one: one.id_token(
        key=FOREIGN_KEY, header={"kid": None}
    ),
    "with a key id that is a number": lambda one: unsigned(
        {"alg": "RS256", "kid": 1}, claims_of(one), b"x" * 256
    ),
    "with the id of a key of another kind": lambda one: one.id_token(header={"kid": "curve"}),
    "with its key in the header": lambda one: one.id_token(
        key=FOREIGN_KEY, header={"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "kid": None}
    ),
    "with a good signature and a key in the header": lambda one: one.id_token(
        header={"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}
    ),
    "with the address of its keys in the header": lambda one: one.id_token(header={"jku": f"{one.url}/jwks"}),
    "with a certificate in the header": lambda one: unsigned(
        {"alg": "RS256", "kid": "first", "x5c": ["MIIB"]}, claims_of(one), b"x" * 256
    ),
    "with the address of a certificate": lambda one: unsigned(
        {"alg": "RS256", "kid": "first", "x5u": "https://evil.example"}, claims_of(one), b"x" * 256
    ),
    "with what must be understood": lambda one: unsigned(
        {"alg": "RS256", "kid": "first", "crit": ["exp"], "exp": 1}, claims_of(one), b"x" * 256
    ),
    "an access token of the same keys": lambda one: one.id_token(header={"typ": "at+jwt"}),
    "a logout token of the same keys": lambda one: one.id_token(header={"typ": "logout+jwt"}),
    "without an algorithm": lambda one: unsigned({"kid": "first"}, claims_of(one), b"x" * 256),
    "with an algorithm that is a list": lambda one: unsigned(
        {"alg": ["RS256"], "kid": "first"}, claims_of(one), b"x" * 256
    ),
    "with an algorithm in small letters": lambda one: unsigned(
        {"alg": "rs256", "kid": "first"}, claims_of(one), b"x" * 256
    ),
    "without its signature": lambda one: one.id_token().rpartition(".")[0] + ".",
    "with half its signature": lambda one: one.id_token()[:-170],
    "of two parts": lambda one: one.id_token().rpartition(".")[0],
    "of four parts": lambda one: one.id_token() + ".e30",
    "of five parts": lambda _: "a.b.c.d.e",
    "whose header is no JSON": lambda one: unsigned(b"{", claims_of(one)),
    "whose header is a list": lambda one: unsigned([], claims_of(one)),
    "whose header is a text": lambda one: unsigned("alg", claims_of(one)),
    "whose payload is a list": lambda _: sign_raw(b"[]"),
    "whose payload is no UTF-8": lambda _: sign_raw(b'{"iss": "\xff"}'),
    "whose payload is nested deeply": lambda _: sign_raw(b"[" * 5000 + b"]" * 5000),
    "with broken base64": lambda one: one.id_token().replace(".", "+.", 1),
    "with padding": lambda one: one.id_token() + "==",
    "with a space": lambda one: " " + one.id_token(),
    "with letters beyond ASCII": lambda one: one.id_token() + "é",
    "of nothing": lambda _: "",
    "of dots": lambda _: "..",
    "too large": lambda one: one.id_token(padding="x" * 20_000),
} | {
    f"unsigned, as {word!r}": lambda one, word=word: unsigned({"alg": word, "kid": "first"}, claims_of(one))
    for word in ("none", "None", "NONE", "nOnE", "", " none", None)
}  # fmt: skip


def sign_raw(payload: bytes) -> str:
    """A payload that is no object of claims, signed by the right key."""
    return jws.serialize_compact({"alg": "RS256", "kid": "first"}, payload, FIRST_KEY)


@pytest.mark.parametrize("kind", GOOD)
async def test_a_good_token_says_who_somebody_is(kind: str, issuer: Issuer, google: GoogleTokens) -> None:
    assert await verify(google, GOOD[kind](issuer)) == VerifiedIdentity(
        issuer=issuer.url,
        subject="ada-1",
        email="ada@example.com",
        email_verified=True,
        name="Ada Berg",
        given_name="Ada",
        family_name="Berg",
    )


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_token_is_refused(kind: str, issuer: Issuer, google: GoogleTokens) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await verify(google, BAD[kind](issuer))
    assert (refused.value.code, refused.value.data) == (LOGIN_FAILED, {})


async def test_a_token_that_was_made_for_another_shop_is_refused(
    issuer: Issuer, google: GoogleTokens
) -> None:
    for audience in ("somebody-else", ["somebody-else"]):
        with pytest.raises(Unauthenticated):
            await verify(google, issuer.id_token(aud=audience))


@pytest.mark.parametrize(
    ("said", "verified"),
    [(True, True), ("true", True), (False, False), ("false", False), ("yes", False), (None, False)],
)
async def test_an_address_is_verified_only_where_the_provider_says_so(
    said: object, verified: object, issuer: Issuer, google: GoogleTokens
) -> None:
    identity = await verify(google, issuer.id_token(email_verified=said))
    assert identity.email_verified is verified


@pytest.mark.parametrize("carried", ["other", None, "né"])
async def test_a_token_answers_the_nonce_of_this_login_and_no_other(
    carried: str | None, issuer: Issuer, google: GoogleTokens
) -> None:
    assert await verify(google, issuer.id_token(nonce="mine"), nonce="mine")
    with pytest.raises(Unauthenticated):
        await verify(google, issuer.id_token(nonce=carried), nonce="mine")


async def test_google_writes_its_name_in_two_ways_and_is_one_issuer(issuer: Issuer) -> None:
    google = GoogleTokens(
        client_ids=(CLIENT_ID,), issuer="https://accounts.google.com", jwks_url=f"{issuer.url}/jwks"
    )
    for name in ("https://accounts.google.com", "accounts.google.com"):
        identity = await verify(google, issuer.id_token(iss=name))
        assert identity.issuer == "https://accounts.google.com"
    for name in ("http://accounts.google.com", "https://accounts.google.com/", issuer.url):
        with pytest.raises(Unauthenticated):
            await verify(google, issuer.id_token(iss=name))
    await google.close()
