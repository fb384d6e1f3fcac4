"""Six mailed digits: whom they let in, how often they may be guessed at, and that they tell nobody who has an account."""

import asyncio
import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.db.base import Base
from app.db.session import transaction
from app.domain.accounts.jobs import sweep_accounts
from app.kit.clock import utc_now
from app.kit.ids import sign
from tests.api.account_shop import PASSWORD, Person, signed_up, some_email
from tests.canaries import WATCH
from tests.concurrency.tally import in_batches
from tests.conftest import make_store
from tests.shop import add_variant, running_shop, settings_for

CODE = re.compile(r"^\s*(\d{6})\s*$", re.MULTILINE)


@pytest.fixture
async def ada(mails, client, store) -> Person:
    """Somebody who has proven their address."""
    person = await signed_up(client, store)
    ((_, _, body),) = await mails()
    (token,) = re.findall(r"token=([\w-]{43})", body)
    assert (await person.call("POST", "/customer/email/verify", {"token": token})).status_code == 204
    return person


async def ask(person: Person, mails, sessions) -> str:
    """Ask for a code as often as one likes; the digits that were mailed."""
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    answer = await person.elsewhere().call("POST", "/customer/login/code", {"email": person.email})
    assert (answer.status_code, answer.content) == (204, b"")
    (mail,) = await mails()
    assert mail[0] == person.email
    (code,) = CODE.findall(mail[2])
    assert code in mail[1]
    return code


async def confirm(person: Person, code: str, *, headers=None, **more):
    body = {"email": person.email, "code": code, **more}
    return await person.call("POST", "/customer/login/code/confirm", body, headers=headers)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


async def ask_for_both(person: Person, mails, sessions) -> tuple[str, str]:
    """The digits and the link of one mail."""
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    await person.elsewhere().call("POST", "/customer/login/code", {"email": person.email})
    ((_, _, body),) = await mails()
    (code,), (link,) = (
        CODE.findall(body),
        re.findall(r"https://shop\.example/#/login\?uuid=([\w-]{43})", body),
    )
    return code, link


async def test_the_link_beside_the_digits_logs_in_once_and_ends_them(ada, mails, sessions):
    code, link = await ask_for_both(ada, mails, sessions)
    answer = await ada.elsewhere().call("POST", "/customer/login/uuid", {"uuid": link})
    assert (answer.status_code, answer.json()["id"]) == (200, ada.id), answer.text
    assert (await ada.elsewhere().call("POST", "/customer/login/uuid", {"uuid": link})).status_code == 401
    assert (await confirm(ada.elsewhere(), code)).status_code == 401


async def test_the_digits_end_the_link_beside_them(ada, mails, sessions):
    code, link = await ask_for_both(ada, mails, sessions)
    assert (await confirm(ada.elsewhere(), code)).status_code == 200
    assert (await ada.elsewhere().call("POST", "/customer/login/uuid", {"uuid": link})).status_code == 401


async def test_the_link_beside_the_digits_lives_as_long_as_they_do(ada, mails, sessions):
    await ask_for_both(ada, mails, sessions)
    async with sessions() as session:
        code_ends, link_ends = (
            await session.execute(
                text(
                    "SELECT c.expires_at, s.expires_at FROM login_codes c JOIN login_secrets s USING (customer_id) "
                    "WHERE customer_id = :id AND purpose = 'link'"
                ),
                {"id": ada.id},
            )
        ).one()
    assert code_ends == link_ends


async def test_of_digits_and_link_used_at_once_one_logs_in(ada, mails, sessions):
    code, link = await ask_for_both(ada, mails, sessions)
    tries = [
        confirm(ada.elsewhere(), code),
        ada.elsewhere().call("POST", "/customer/login/uuid", {"uuid": link}),
    ]
    answers = await asyncio.gather(*tries)
    assert sorted(answer.status_code for answer in answers) == [200, 401]


@pytest.mark.parametrize("is_proven", [False, True], ids=["never proven", "proven"])
async def test_the_mail_says_that_using_it_ends_the_password_of_an_unproven_account(
    client, store, mails, sessions, is_proven
):
    person = await signed_up(client, store)
    ((_, _, body),) = await mails()
    if is_proven:
        (token,) = re.findall(r"token=([\w-]{43})", body)
        assert (await person.call("POST", "/customer/email/verify", {"token": token})).status_code == 204
    await person.elsewhere().call("POST", "/customer/login/code", {"email": person.email})
    ((_, _, body),) = await mails()
    assert ("ends the password" in " ".join(body.split())) is not is_proven


async def test_the_mailed_digits_log_in_once(ada, mails, sessions):
    code = await ask(ada, mails, sessions)
    caller = ada.elsewhere()
    answer = await confirm(caller, f" {code[:3]} {code[3:]} ")
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == ada.id
    caller.auth_key = answer.json()["auth_key"]
    assert await caller.is_logged_in()
    again = await confirm(ada.elsewhere(), code)
    assert (again.status_code, again.json()["code"]) == (401, "login_failed")
    assert "www-authenticate" in again.headers


async def test_a_login_by_code_can_be_a_cookie_and_brings_the_cart(ada, mails, sessions, store):
    variant = await add_variant(sessions, store)
    caller = ada.elsewhere()
    line = (await caller.call("POST", "/cart/items", {"product_id": variant, "quantity": 2})).json()
    answer = await confirm(
        caller,
        await ask(ada, mails, sessions),
        headers={"X-Session": "cookie"},
        cart_uuid=line["cart_uuid"],
        remember_me=False,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["auth_key"] == ""
    session_cookie = next(c for c in answer.headers.get_list("set-cookie") if "__Host-storefront=" in c)
    assert "Max-Age" not in session_cookie
    cart = (await caller.call("GET", "/cart")).json()
    assert [(item["variant_id"], item["quantity"]) for item in cart["items"]] == [(variant, 2)]


async def test_everybody_is_answered_alike_and_one_row_is_queued_for_each(ada, mails, sessions):
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    nobody = Person(ada.client, ada.store, email=some_email())
    for person in (ada, nobody):
        answer = await person.elsewhere().call("POST", "/customer/login/code", {"email": person.email})
        assert (answer.status_code, answer.content) == (204, b"")
    async with sessions() as session:
        rows = (await session.execute(text("SELECT kind, payload FROM jobs ORDER BY id"))).all()
    assert [(row.kind, set(row.payload)) for row in rows] == [("accounts.login_code", {"email_key"})] * 2
    ((to, _, body),) = await mails()
    assert to == ada.email
    (code,) = CODE.findall(body)
    stranger = Person(ada.client, await make_store(sessions), email=ada.email)
    refusals = [
        await confirm(ada.elsewhere(), wrong(code)),
        await confirm(nobody, code),
        await confirm(stranger, code),
        await confirm(ada.elsewhere(), "12345"),
        await confirm(ada.elsewhere(), "x" * 40),
    ]
    bodies = [{**answer.json(), "request_id": ""} for answer in refusals]
    assert [answer.status_code for answer in refusals] == [401] * 5
    assert all(body == bodies[0] for body in bodies)
    assert (await confirm(ada.elsewhere(), code)).status_code == 200  # three wrong tries leave two


async def test_an_older_mail_is_void_once_there_is_a_newer_one(ada, mails, sessions):
    first, second = await ask(ada, mails, sessions), await ask(ada, mails, sessions)
    if first != second:
        assert (await confirm(ada.elsewhere(), first)).status_code == 401
    assert (await confirm(ada.elsewhere(), second)).status_code == 200


async def test_the_right_digits_come_too_late_after_five_wrong_tries(ada, mails, sessions):
    code = await ask(ada, mails, sessions)
    for _ in range(5):
        assert (await confirm(ada.elsewhere(), wrong(code))).status_code == 401
    assert (await confirm(ada.elsewhere(), code)).status_code == 401
    assert (await confirm(ada.elsewhere(), await ask(ada, mails, sessions))).status_code == 200


async def test_two_hundred_guesses_many_at_a_time_have_five_tries(ada, mails, sessions):
    code = await ask(ada, mails, sessions)
    answers = await in_batches(confirm(ada.elsewhere(), wrong(code)) for _ in range(200))
    assert {answer.status_code for answer in answers} == {401}
    async with sessions() as session:
        tries = await session.scalar(
            text("SELECT tries FROM login_codes WHERE customer_id = :id"), {"id": ada.id}
        )
    assert tries == 5
    assert (await confirm(ada.elsewhere(), code)).status_code == 401


async def test_of_right_digits_sent_many_times_at_once_one_logs_in(ada, mails, sessions):
    code = await ask(ada, mails, sessions)
    answers = await asyncio.gather(*(confirm(ada.elsewhere(), code) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]


async def test_digits_that_are_too_old_do_not_log_in_and_are_swept(ada, mails, sessions):
    code = await ask(ada, mails, sessions)
    async with transaction(sessions) as session:
        left = await session.scalar(
            text("UPDATE login_codes SET expires_at = :now WHERE customer_id = :id RETURNING expires_at"),
            {"now": utc_now(), "id": ada.id},
        )
    assert left is not None
    assert (await confirm(ada.elsewhere(), code)).status_code == 401
    await sweep_accounts(sessions, now=utc_now() + timedelta(days=8))
    async with sessions() as session:
        assert not await session.scalar(
            text("SELECT count(*) FROM login_codes WHERE customer_id = :id"), {"id": ada.id}
        )


async def test_the_life_of_a_code_is_a_setting(ada, mails, sessions):
    before = utc_now()
    await ask(ada, mails, sessions)
    async with sessions() as session:
        ends = await session.scalar(
            text("SELECT expires_at FROM login_codes WHERE customer_id = :id"), {"id": ada.id}
        )
    assert timedelta(seconds=595) < ends - before < timedelta(seconds=605)


async def test_a_new_password_and_a_new_address_void_the_digits(ada, mails, sessions):
    code = await ask(ada, mails, sessions)
    body = {
        "password": f"{PASSWORD} two",
        "confirm_password": f"{PASSWORD} two",
        "current_password": PASSWORD,
    }
    assert (await ada.call("POST", "/customer/password/reset", body)).status_code == 200
    assert (await confirm(ada.elsewhere(), code)).status_code == 401
    code = await ask(ada, mails, sessions)
    moved = ada.elsewhere(email=some_email())
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE customers SET email = :email, email_key = :email WHERE id = :id"),
            {"email": moved.email, "id": ada.id},
        )
    assert (await confirm(moved, code)).status_code == 401
    assert (await confirm(ada.elsewhere(), code)).status_code == 401


async def test_digits_prove_the_address_and_drive_out_whoever_planted_the_account(
    client, store, mails, sessions
):
    """The first proof that somebody reads the mail: password and sessions from before are gone."""
    planted = await signed_up(client, store)
    await mails()
    owner = planted.elsewhere()
    answer = await confirm(owner, await ask(planted, mails, sessions))
    assert answer.status_code == 200, answer.text
    assert (answer.json()["email_verified"], answer.json()["has_password"]) == (True, False)
    owner.auth_key = answer.json()["auth_key"]
    assert await owner.is_logged_in()
    assert not await planted.is_logged_in()
    assert (await planted.elsewhere().log_in()).status_code == 401


async def test_a_proven_account_keeps_password_and_sessions(ada, mails, sessions):
    assert (await confirm(ada.elsewhere(), await ask(ada, mails, sessions))).status_code == 200
    assert await ada.is_logged_in()
    assert (await ada.elsewhere().log_in()).status_code == 200


async def test_the_table_keeps_no_digits_and_no_digest_that_can_be_tried_out(ada, mails, sessions):
    code = await ask(ada, mails, sessions)
    async with sessions() as session:
        kept = await session.scalar(
            text("SELECT digest FROM login_codes WHERE customer_id = :id"), {"id": ada.id}
        )
        queued = await session.scalar(text("SELECT string_agg(payload::text, '') FROM jobs"))
    assert code not in queued
    assert kept.hex() != sign("", "login code", str(ada.store.id), str(ada.id), ada.email, code)


async def test_new_mails_bring_no_new_guesses_without_end(database_url, redis_url, store, mails, sessions):
    """Each code has its tries; all codes of a day together have a budget, but not for a device that is known."""
    limits = "login=1000/60,password=1000/60,signup=1000/60,guess=100/60,guess_code=6/600"
    settings = settings_for(
        database_url, redis_url, STOREFRONT_LIMITS=limits, STOREFRONT_TRUSTED_PROXIES="127.0.0.0/8"
    )
    async with running_shop(settings) as limited:
        ada = await signed_up(limited, store)
        await mails()
        found = []
        for n in range(8):
            code = await ask(ada, mails, sessions)
            stranger = ada.elsewhere(agent="bot")
            answer = await confirm(stranger, wrong(code), headers={"X-Forwarded-For": f"10.0.{n}.1"})
            found.append(answer.status_code)
        assert found == [401] * 6 + [429] * 2
        assert (await confirm(ada.elsewhere(agent=ada.agent), code)).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"code": "123456"}, "email"),
        ({"email": "ada@example.com"}, "code"),
        ({"email": "ada", "code": "123456"}, "email"),
        ({"email": "ada@example.com", "code": ""}, "code"),
        ({"email": "ada@example.com", "code": 123456}, "code"),
        ({"email": "ada@example.com", "code": "1" * 41}, "code"),
        ({"email": "ada@example.com", "code": "123456", "customer_id": 1}, "customer_id"),
    ],
)
async def test_a_malformed_confirmation_names_its_field(client, store, body, field):
    answer = await Person(client, store).call("POST", "/customer/login/code/confirm", body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_the_digits_stand_in_the_mail_alone(ada, mails, sessions, monkeypatch):
    """Six digits can carry no mark (tests/canaries.py), so one code is looked for where it should not be."""
    logged: list[str] = []
    monkeypatch.setattr(WATCH, "write", logged.append)
    code = await ask(ada, mails, sessions)
    alone = f"(^|[^0-9a-f.]){code}([^0-9a-f]|$)"
    async with sessions() as session:
        for table in Base.metadata.tables:
            query = text(f"SELECT count(*) FROM {table} t WHERE to_jsonb(t)::text ~ :alone")
            assert await session.scalar(query, {"alone": alone}) == 0, table
    refused = await confirm(ada.elsewhere(), wrong(code))
    assert (await confirm(ada.elsewhere(), code)).status_code == 200
    assert code not in refused.text
    assert logged
    assert not [line for line in logged if re.search(alone, line)]
