"""Passkeys with real signatures: what is kept, what opens an account, and every single lie that is refused."""

import asyncio
import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.db.session import Sessions, transaction
from app.domain.customers.passkeys import KnownPasskey, UsedKey, find_passkey, use_passkey
from app.kit.clock import utc_now
from app.kit.errors import Unauthenticated
from app.kit.ids import base64url, read_base64url
from tests.api.account_shop import OTHER_PASSWORD, Person, signed_up
from tests.conftest import make_store
from tests.shop import running_shop, settings_for
from tests.standins.authenticator import EDDSA, ES256, ES384, PRESENT, RS256, VERIFIED, Authenticator, Key

SOME_CHALLENGE = base64url(bytes(32))


@dataclass
class Owner:
    """A customer with a device that makes passkeys."""

    person: Person
    device: Authenticator = field(default_factory=Authenticator)

    async def options(self, **body: Any) -> dict[str, Any]:
        answer = await self.person.call("POST", "/customer/passkeys/options", body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def send(self, credential: dict[str, Any], **more: Any) -> httpx.Response:
        return await self.person.call("POST", "/customer/passkeys", {"credential": credential, **more})

    async def register(self, **lies: Any) -> httpx.Response:
        return await self.send(self.device.create(await self.options(), **lies))

    async def listed(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.person.call("GET", "/customer/passkeys")).json()["items"]
        return items


async def begin(caller: Person) -> dict[str, Any]:
    answer = await caller.call("POST", "/customer/login/passkey/options", {})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def log_in(caller: Person, device: Authenticator, headers=None, **lies: Any) -> httpx.Response:
    options = await begin(caller)
    return await finish(caller, options, device.get(options, **lies), headers=headers)


async def finish(
    caller: Person, options: dict[str, Any], credential: dict[str, Any], headers=None, **more: Any
) -> httpx.Response:
    body = {"login_id": options["login_id"], "credential": credential, **more}
    return await caller.call("POST", "/customer/login/passkey", body, headers=headers)


def nobody(owner: Owner) -> Person:
    return Person(owner.person.client, owner.person.store)


def refused(answer: httpx.Response) -> bool:
    assert answer.status_code == 401, answer.text
    assert answer.json()["detail"] == "This passkey opens no account here."
    return bool(answer.json()["code"] == "login_failed")


@pytest.fixture
async def ada(client, store) -> Owner:
    return Owner(await signed_up(client, store))


@pytest.fixture
async def holder(ada: Owner) -> Owner:
    """Ada with a passkey."""
    answer = await ada.register()
    assert answer.status_code == 201, answer.text
    return ada


async def test_the_options_ask_for_what_opens_an_account_alone_and_tell_nothing_of_it(ada: Owner, store):
    options = await ada.options()
    assert options["rp"] == {"id": "localhost", "name": store.name}
    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert [one["alg"] for one in options["pubKeyCredParams"]] == [ES256, EDDSA, RS256]
    assert (options["attestation"], options["timeout"]) == ("none", 300_000)
    assert options["user"]["name"] == ada.person.email
    handle, challenge = read_base64url(options["user"]["id"]), read_base64url(options["challenge"])
    assert (len(handle), len(challenge)) == (64, 32)
    again = await ada.options()
    assert again["user"]["id"] == options["user"]["id"]
    assert again["challenge"] != options["challenge"]


@pytest.mark.parametrize("algorithm", [ES256, EDDSA, RS256])
async def test_a_passkey_of_each_kind_is_kept_and_logs_in(ada: Owner, algorithm):
    ada.device.algorithm = algorithm
    answer = await ada.register()
    assert answer.status_code == 201, answer.text
    caller = nobody(ada)
    for _ in range(2):
        answer = await log_in(caller, ada.device)
        assert answer.status_code == 200, answer.text
        assert answer.json()["id"] == ada.person.id
    caller.auth_key = answer.json()["auth_key"]
    assert await caller.is_logged_in()


async def test_a_passkey_is_listed_with_its_name_and_use_and_can_be_removed(ada: Owner):
    ada.device.backed_up = True
    made = await ada.send(ada.device.create(await ada.options()), name="  My   telephone ")
    assert (made.status_code, made.json()["name"]) == (201, "My telephone")
    (one,) = await ada.listed()
    assert one == made.json()
    assert (one["backed_up"], one["transports"], one["last_used_at"]) == (True, ["hybrid", "internal"], None)
    assert (await log_in(nobody(ada), ada.device)).status_code == 200
    (one,) = await ada.listed()
    assert one["last_used_at"]
    options = await ada.options()
    assert [known["id"] for known in options["excludeCredentials"]] == [base64url(ada.device.keys[0].id)]
    path = f"/customer/passkeys/{one['id']}"
    assert (await ada.person.call("DELETE", path)).status_code == 204
    assert (await ada.person.call("DELETE", path)).status_code == 404
    assert await ada.listed() == []
    assert refused(await log_in(nobody(ada), ada.device))


async def test_without_a_name_it_has_that_of_its_device(ada: Owner):
    ada.person.agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    assert (await ada.register()).json()["name"] == "Firefox, Linux"


async def test_a_new_passkey_is_told_of_by_mail(ada: Owner, mails):
    await ada.register()
    ((to, subject, body),) = [mail for mail in await mails() if "passkey" in mail[1]]
    assert (to, subject) == (ada.person.email, "A passkey was added to your account")
    assert "Shop app" in body


async def test_a_login_by_passkey_can_be_a_cookie(holder: Owner):
    caller = nobody(holder)
    answer = await log_in(caller, holder.device, headers={"X-Session": "cookie"})
    assert (answer.status_code, answer.json()["auth_key"]) == (200, "")
    assert await caller.is_logged_in()


async def test_a_synchronised_passkey_keeps_its_counter_at_nothing(ada: Owner):
    ada.device = Authenticator(counts=False, backed_up=True)
    await ada.register()
    for _ in range(2):
        assert (await log_in(nobody(ada), ada.device)).status_code == 200


async def test_self_attestation_is_checked_where_a_device_makes_one(ada: Owner):
    assert (await ada.register(statement=("self", {}))).status_code == 201
    answer = await ada.register(statement=("packed", {"alg": ES256, "sig": b"nothing"}))
    assert (answer.status_code, answer.json()["code"]) == (422, "passkey_refused")


LIES_AT_MAKING = {
    "another origin": {"origin": "https://evil.example"},
    "another port": {"origin": "http://localhost:9999"},
    "a name that only looks alike": {"origin": "http://evil-localhost:8000"},
    "another site": {"rp_id": "evil.example"},
    "another challenge": {"challenge": SOME_CHALLENGE},
    "no challenge": {"challenge": ""},
    "a login in its place": {"type": "webauthn.get"},
    "in a frame": {"cross_origin": True},
    "nobody verified": {"flags": PRESENT},
    "nobody present": {"flags": VERIFIED},
    "a maker's attestation": {"statement": ("android-safetynet", {"ver": "1", "response": b"x"})},
    "an unknown attestation": {"statement": ("of-the-future", {})},
    "a statement with none": {"statement": ("none", {"x5c": [b"x"]})},
    "an id that is too long": {"credential_id": bytes(1024)},
}


@pytest.mark.parametrize("lie", LIES_AT_MAKING.values(), ids=LIES_AT_MAKING)
async def test_a_passkey_with_a_lie_is_not_kept(ada: Owner, lie):
    answer = await ada.register(**lie)
    assert (answer.status_code, answer.json()["code"]) == (422, "passkey_refused"), answer.text
    assert [error["field"] for error in answer.json()["errors"]] == ["credential"]
    assert "evil" not in answer.text
    assert await ada.listed() == []


@pytest.mark.parametrize("form", ["android-safetynet", "tpm", "apple", "fido-u2f", "of-the-future"])
async def test_an_attestation_that_was_not_asked_for_is_not_even_looked_into(ada: Owner, form):
    answer = await ada.register(statement=(form, {"x5c": [b"x"]}))
    assert answer.status_code == 422
    assert answer.json()["detail"] == "This passkey cannot be kept: its attestation was not asked for."


async def test_a_key_of_a_kind_that_was_not_asked_for_is_not_kept(ada: Owner):
    ada.device.algorithm = ES384
    assert (await ada.register()).json()["code"] == "passkey_refused"


async def test_a_registration_is_good_once_and_only_in_the_session_that_began_it(ada: Owner):
    made = ada.device.create(await ada.options())
    elsewhere = ada.person.elsewhere()
    await elsewhere.log_in()
    other = await Owner(elsewhere, ada.device).send(made)
    assert (other.status_code, other.json()["code"]) == (422, "passkey_refused")
    assert (await ada.send(made)).status_code == 201
    again = await ada.send(made)
    assert (again.status_code, again.json()["code"]) == (422, "passkey_refused")
    first, second = await ada.options(), await ada.options()
    assert (await ada.send(ada.device.create(first))).status_code == 422
    assert (await ada.send(ada.device.create(second))).status_code == 422  # taken by the try before


async def test_another_customers_passkey_cannot_be_registered_again(holder: Owner, client, store, sessions):
    eve = Owner(await signed_up(client, store))
    answer = await eve.register(credential_id=holder.device.keys[0].id)
    assert (answer.status_code, answer.json()["code"]) == (422, "passkey_known")
    assert (await log_in(nobody(holder), holder.device)).json()["id"] == holder.person.id


async def test_another_customers_passkeys_are_not_there(holder: Owner, client, store):
    eve = Owner(await signed_up(client, store))
    (one,) = await holder.listed()
    path = f"/customer/passkeys/{one['id']}"
    foreign = await eve.person.call("DELETE", path)
    missing = await eve.person.call("DELETE", "/customer/passkeys/999999999")
    bodies = [{**answer.json(), "request_id": ""} for answer in (foreign, missing)]
    assert (foreign.status_code, bodies[0]) == (404, bodies[1])
    assert await eve.listed() == []
    assert len(await holder.listed()) == 1


async def test_an_account_has_so_many_passkeys_and_no_more(ada: Owner, sessions: Sessions):
    begun = await ada.options()
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "INSERT INTO passkeys (store_id, customer_id, credential_id, public_key, sign_count, backed_up, "
                "name) SELECT :store, :customer, int8send(n), '', 0, false, 'one' FROM generate_series(1, 20) n"
            ),
            {"store": ada.person.store.id, "customer": ada.person.id},
        )
    answer = await ada.send(ada.device.create(begun))
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_passkeys")
    answer = await ada.person.call("POST", "/customer/passkeys/options", {})
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_passkeys")


async def test_an_old_login_adds_no_passkey_without_the_password(database_url, redis_url, store):
    settings = settings_for(database_url, redis_url, STOREFRONT_FRESH_LOGIN_SECONDS="1")
    async with running_shop(settings) as client:
        ada = Owner(await signed_up(client, store))
        (session,) = (await ada.person.call("GET", "/customer/sessions")).json()["items"]
        assert session["current"]
        path = "/customer/passkeys/options"
        async with asyncio.timeout(10):
            answer = await ada.person.call("POST", path, {})
            while answer.status_code == 200:
                answer = await ada.person.call("POST", path, {})
        assert (answer.status_code, answer.json()["code"]) == (403, "fresh_login_needed")
        wrong = await ada.person.call("POST", path, {"password": OTHER_PASSWORD})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "password")
        made = ada.device.create(await ada.options(password=ada.person.password))
        assert (await ada.send(made)).status_code == 201


async def test_guests_add_list_and_remove_nothing(client, store):
    guest = Person(client, store)
    credential = Authenticator().create(
        {"user": {"id": "AA"}, "rp": {"id": "localhost"}, "challenge": SOME_CHALLENGE}
    )
    for method, path, body in (
        ("POST", "/customer/passkeys/options", {}),
        ("POST", "/customer/passkeys", {"credential": credential}),
        ("GET", "/customer/passkeys", None),
        ("DELETE", "/customer/passkeys/1", None),
    ):
        answer = await guest.call(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (401, "login_required"), path


async def test_a_repeated_registration_under_its_key_answers_the_first(ada: Owner):
    body = {"credential": ada.device.create(await ada.options())}
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    first = await ada.person.call("POST", "/customer/passkeys", body, headers=headers)
    again = await ada.person.call("POST", "/customer/passkeys", body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert len(await ada.listed()) == 1


LIES_AT_USE = {
    "another origin": {"origin": "https://evil.example"},
    "another site": {"rp_id": "evil.example"},
    "another challenge": {"challenge": SOME_CHALLENGE},
    "a registration in its place": {"type": "webauthn.create"},
    "in a frame": {"cross_origin": True},
    "nobody verified": {"flags": PRESENT},
    "nobody present": {"flags": VERIFIED},
    "another handle": {"handle": bytes(64)},
    "no handle": {"handle": b""},
    "backed up though it cannot be": {"flags": PRESENT | VERIFIED | 16},
}


@pytest.mark.parametrize("lie", LIES_AT_USE.values(), ids=LIES_AT_USE)
async def test_a_passkey_that_lies_opens_nothing(holder: Owner, lie):
    caller, options = nobody(holder), await begin(nobody(holder))
    credential = holder.device.get(options, **lie)
    if not credential["response"]["userHandle"]:
        del credential["response"]["userHandle"]
    assert refused(await finish(caller, options, credential))
    assert (await log_in(caller, holder.device)).status_code == 200


async def test_a_signature_by_another_key_opens_nothing(holder: Owner):
    stranger = Authenticator()
    stranger.create({"user": {"id": "AA"}, "rp": {"id": "localhost"}, "challenge": SOME_CHALLENGE})
    assert refused(await log_in(nobody(holder), holder.device, signer=stranger.keys[0]))
    assert refused(await log_in(nobody(holder), stranger))  # a passkey that nobody registered


async def test_data_that_was_changed_after_it_was_signed_opens_nothing(holder: Owner):
    for part in ("authenticatorData", "clientDataJSON", "signature"):
        options = await begin(nobody(holder))
        credential = holder.device.get(options)
        raw = bytearray(read_base64url(credential["response"][part]) or b"")
        raw[-2] ^= 1
        credential["response"][part] = base64url(bytes(raw))
        assert refused(await finish(nobody(holder), options, credential))


async def test_an_answer_logs_in_once_and_only_to_its_own_challenge(holder: Owner):
    caller = nobody(holder)
    options = await begin(caller)
    credential = holder.device.get(options)
    assert (await finish(caller, options, credential)).status_code == 200
    assert refused(await finish(caller, options, credential))
    assert refused(await finish(caller, await begin(caller), credential))
    stale = {"login_id": secrets.token_urlsafe(32)}
    assert refused(await finish(caller, stale, holder.device.get(options)))


async def test_a_challenge_is_spent_by_a_wrong_answer(holder: Owner):
    options = await begin(nobody(holder))
    assert refused(await finish(nobody(holder), options, holder.device.get(options, flags=PRESENT)))
    assert refused(await finish(nobody(holder), options, holder.device.get(options)))


async def test_one_customers_passkey_under_anothers_handle_opens_neither(holder: Owner, client, store):
    eve = Owner(await signed_up(client, store))
    await eve.register()
    assert refused(await log_in(nobody(eve), eve.device, handle=holder.device.keys[0].handle))
    assert refused(await log_in(nobody(eve), holder.device, handle=eve.device.keys[0].handle))


async def test_a_passkey_of_another_store_opens_nothing(holder: Owner, client, sessions, reads):
    other = Person(client, await make_store(sessions))
    credential_id = holder.device.keys[0].id
    assert await find_passkey(reads, holder.person.store.id, credential_id) is not None
    assert await find_passkey(reads, other.store.id, credential_id) is None
    assert refused(await log_in(other, holder.device))
    options = await begin(other)
    assert refused(await finish(nobody(holder), options, holder.device.get(options)))


async def test_a_counter_that_goes_back_or_stands_still_betrays_a_copy(holder: Owner):
    key = holder.device.keys[0]
    for _ in range(3):
        assert (await log_in(nobody(holder), holder.device)).status_code == 200
    for count in (3, 2, 0):
        assert refused(await log_in(nobody(holder), holder.device, count=count))
    assert (await log_in(nobody(holder), holder.device, key=key, count=4)).status_code == 200


async def test_of_two_uses_at_once_with_one_count_one_passes(holder: Owner, sessions: Sessions):
    async with sessions() as session:
        row = (
            await session.execute(
                text("SELECT id, public_key FROM passkeys WHERE customer_id = :id"), {"id": holder.person.id}
            )
        ).one()
    known = KnownPasskey(row.id, holder.person.id, b"", row.public_key, 0)

    async def use() -> bool:
        try:
            async with transaction(sessions) as session:
                await use_passkey(session, holder.person.store.id, known, UsedKey(5, False), now=utc_now())
        except Unauthenticated:
            return False
        return True

    assert sorted(await asyncio.gather(*(use() for _ in range(8)))) == [False] * 7 + [True]


async def test_a_closed_account_is_not_opened(holder: Owner, sessions: Sessions):
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE customers SET closed_at = :now WHERE id = :id"),
            {"now": utc_now(), "id": holder.person.id},
        )
    assert refused(await log_in(nobody(holder), holder.device))


async def test_a_planted_passkey_goes_when_the_owner_of_the_address_comes(holder: Owner, mails):
    """Somebody made an account with another's address and left a passkey in it."""
    await mails()
    owner = holder.person.elsewhere()
    await owner.call("POST", "/customer/login/code", {"email": owner.email})
    (mail,) = [one for one in await mails() if "code" in one[1]]
    (code,) = re.findall(r"\b\d{6}\b", mail[1])
    answer = await owner.call("POST", "/customer/login/code/confirm", {"email": owner.email, "code": code})
    assert answer.status_code == 200, answer.text
    assert refused(await log_in(nobody(holder), holder.device))


def credential_with(**response: Any) -> dict[str, Any]:
    whole = {"clientDataJSON": "e30", "attestationObject": "oA", **response}
    return {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": whole}


@pytest.mark.parametrize(
    ("credential", "field"),
    [
        ({**credential_with(), "id": 7}, "credential.id"),
        ({**credential_with(), "id": "A" * 1401}, "credential.id"),
        ({**credential_with(), "id": "not/base64"}, "credential.id"),
        ({**credential_with(), "id": "AAAAA"}, "credential.id"),
        ({**credential_with(), "type": "password"}, "credential.type"),
        (credential_with(clientDataJSON="A" * 4_097), "credential.response.clientDataJSON"),
        (credential_with(attestationObject="A" * 16_385), "credential.response.attestationObject"),
        (credential_with(attestationObject=7), "credential.response.attestationObject"),
        (credential_with(transports=["usb"] * 17), "credential.response.transports"),
        (credential_with(attestationObject="AAAA"), "credential"),
        (credential_with(attestationObject=base64url(b"\x81" * 9000)), "credential"),
        (credential_with(attestationObject=base64url(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff")), "credential"),
        (credential_with(clientDataJSON=base64url(b"[" * 3000)), "credential"),
    ],
)
async def test_a_malformed_credential_names_its_field(ada: Owner, credential, field):
    await ada.options()
    answer = await ada.send(credential)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_garbage_in_the_place_of_an_answer_opens_nothing(holder: Owner):
    key: Key = holder.device.keys[0]
    for part in ("clientDataJSON", "authenticatorData", "signature"):
        options = await begin(nobody(holder))
        for raw in (b"\x00", b"[" * 3000, b"\xff" * 200):
            credential = holder.device.get(options, key=key)
            credential["response"][part] = base64url(raw)
            options = await begin(nobody(holder))
            assert refused(await finish(nobody(holder), options, credential))


async def test_an_old_challenge_is_gone_from_redis(holder: Owner, redis_url):
    """Both kinds of challenge live five minutes, under digests."""
    from redis.asyncio import Redis

    await begin(nobody(holder))
    await holder.options()
    redis = Redis.from_url(redis_url)
    lives = [
        await redis.ttl(key)
        for kind in ("passkeylogin", "passkeyregistration")
        async for key in redis.scan_iter(match=f"{kind}:*")
    ]
    await redis.aclose()
    assert lives
    assert all(timedelta() < timedelta(seconds=life) <= timedelta(minutes=5) for life in lives)
