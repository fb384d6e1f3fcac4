"""Which of Facebook's access tokens log somebody in, and that nothing of them or of our secret is written down."""

import gzip
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.customers.providers import VerifiedIdentity
from app.integrations.oauth import http
from app.integrations.oauth.facebook import FacebookTokens
from app.kit.errors import Unauthenticated, Unavailable
from app.log import configure_logging
from tests.standins.facebook import APP_ID, APP_SECRET, Facebook, facebook_stand_in, fault
from tests.standins.wire import Reply

NOW = int(time.time())


@pytest.fixture
async def facebook() -> AsyncIterator[Facebook]:
    async with facebook_stand_in() as made:
        yield made


@pytest.fixture
async def gateway(facebook: Facebook) -> AsyncIterator[FacebookTokens]:
    made = FacebookTokens(app_id=APP_ID, app_secret=APP_SECRET, graph_url=facebook.url)
    yield made
    await made.close()


async def verify(gateway: FacebookTokens, token: str) -> VerifiedIdentity:
    return await gateway.verify(token, now=datetime.now(UTC))


async def test_a_token_of_this_app_says_who_somebody_is_and_vouches_for_no_address(
    facebook: Facebook, gateway: FacebookTokens
) -> None:
    assert await verify(gateway, facebook.make_token("4711", email="ada@example.com")) == VerifiedIdentity(
        issuer="https://www.facebook.com",
        subject="4711",
        email="ada@example.com",
        email_verified=False,
        name="Ada Berg",
        given_name="Ada",
        family_name="Berg",
    )
    assert facebook.calls == ["debug_token", "me"]


async def test_a_user_may_have_no_address_and_a_token_no_end(
    facebook: Facebook, gateway: FacebookTokens
) -> None:
    assert (await verify(gateway, facebook.make_token(expires_at=0, app_id=int(APP_ID)))).email is None


BAD: dict[str, dict[str, Any]] = {
    "of another app": {"app_id": "999"},
    "of an app whose id is a number": {"app_id": 999},
    "that is not valid": {"is_valid": False},
    "that is valid in words only": {"is_valid": "true"},
    "that has expired": {"expires_at": NOW - 1},
    "that expires in words": {"expires_at": "never"},
    "of an app, not a user": {"type": "APP"},
    "of a page": {"type": "PAGE"},
    "of nobody": {"user_id": ""},
    "of no user": {"user_id": None},
    "with the profile of another user": {"profile_id": "4712"},
    "of a user whom no table takes": {"user_id": "47\x0011"},
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_token_is_refused(kind: str, facebook: Facebook, gateway: FacebookTokens) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await verify(gateway, facebook.make_token(**BAD[kind]))
    assert refused.value.code == "login_failed"


@pytest.mark.parametrize("token", ["", "not-a-token", "é", "a&access_token=b", "x" * 5000])
async def test_a_token_that_facebook_does_not_know_is_refused(token: str, gateway: FacebookTokens) -> None:
    with pytest.raises(Unauthenticated):
        await verify(gateway, token)


REFUSALS = [fault(190), fault(100), Reply(400, {}), Reply(302, {}), Reply(200, {}), Reply(200, {"data": []})]
TROUBLES = {
    "unknown": fault(1),
    "service": fault(2),
    "too many calls": fault(4),
    "transient": fault(190, is_transient=True),
    "500": Reply(500, {}),
    "503": Reply(503, {"error": {"code": 2}}),
    "no object": Reply(200, "no object"),
    "300 kB": Reply(200, {"data": {"padding": "x" * 300_000}}),
    "a gzip bomb": Reply(
        200, gzip.compress(b'{"data": {"padding": "%s"}}' % (b"x" * 5_000_000)), {"Content-Encoding": "gzip"}
    ),
}


@pytest.mark.parametrize("call", ["debug_token", "me"])
@pytest.mark.parametrize("answer", REFUSALS, ids=str)
async def test_an_answer_that_vouches_for_nobody_is_a_refusal(
    call: str, answer: Reply, facebook: Facebook, gateway: FacebookTokens
) -> None:
    facebook.faults[call] = answer
    with pytest.raises(Unauthenticated):
        await verify(gateway, facebook.make_token())


@pytest.mark.parametrize("call", ["debug_token", "me"])
@pytest.mark.parametrize("answer", TROUBLES.values(), ids=TROUBLES.keys())
async def test_trouble_at_facebook_is_no_refusal(
    call: str, answer: Reply, facebook: Facebook, gateway: FacebookTokens
) -> None:
    facebook.faults[call] = answer
    with pytest.raises(Unavailable):
        await verify(gateway, facebook.make_token())


async def test_a_facebook_that_hangs_or_is_gone_is_given_up_in_time(
    facebook: Facebook, gateway: FacebookTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "CALL_SECONDS", 0.2)
    facebook.faults["debug_token"] = "hang"
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await verify(gateway, "any")
    assert time.monotonic() - began < 2
    gone = FacebookTokens(app_id=APP_ID, app_secret=APP_SECRET, graph_url="http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        await verify(gone, "any")
    await gone.close()


async def test_neither_the_secret_nor_the_token_is_written_down(
    facebook: Facebook, gateway: FacebookTokens, capsys: pytest.CaptureFixture[str]
) -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        configure_logging(level="info", form="json")
        token = facebook.make_token()
        await verify(gateway, token)
        facebook.faults["me"] = Reply(500, {})
        with pytest.raises(Unavailable) as trouble:
            await verify(gateway, token)
    finally:
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)
    said = capsys.readouterr().err
    assert "provider is away" in said
    for secret in (APP_SECRET, token):
        assert secret not in said
        assert secret not in f"{trouble.value!r} {trouble.value.__cause__!r} {trouble.value.data}"
