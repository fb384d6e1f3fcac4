"""What staff do for customers from the command line: a link to get in, and withdrawals decided."""

import re

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from app.cli import main
from app.db.session import transaction
from tests.api.account_shop import signed_up, some_email
from tests.people import Member, join
from tests.shop import Guest


async def test_a_login_link_is_mailed_shown_nowhere_and_logs_in_once(run, client, store, mails, sessions):
    ada = await signed_up(client, store)
    await mails()
    result = await run("customer", "login-link", f" {ada.email.upper()} ")
    assert result.exit_code == 0, result.output
    async with sessions() as session:
        queued = await session.scalar(text("SELECT string_agg(payload::text, '') FROM jobs"))
    ((to, subject, body),) = await mails()
    assert (to, subject) == (ada.email, "Your link to log in")
    (link,) = re.findall(r"https://shop\.example/#/login\?uuid=([\w-]{43})", body)
    assert link not in result.output
    assert link not in queued
    for status in (200, 401):
        answer = await ada.elsewhere().call("POST", "/customer/login/uuid", {"uuid": link})
        assert answer.status_code == status, answer.text


async def test_a_code_that_anybody_asks_for_ends_no_link_of_staff_and_a_newer_one_of_theirs_does(
    run, client, store, mails
):
    ada = await signed_up(client, store)
    await mails()
    links = []
    for _ in range(2):
        await run("customer", "login-link", ada.email)
        ((_, _, body),) = await mails()
        links += re.findall(r"login\?uuid=([\w-]{43})", body)
    asked = await ada.elsewhere().call("POST", "/customer/login/code", {"email": ada.email})
    assert asked.status_code == 204
    assert len(await mails()) == 1
    answers = [await ada.elsewhere().call("POST", "/customer/login/uuid", {"uuid": link}) for link in links]
    assert [answer.status_code for answer in answers] == [401, 200]


async def test_a_login_link_wants_an_address_that_somebody_here_has(run, client, store, mails, sessions):
    ada = await signed_up(client, store)
    await mails()
    for email, code in ((some_email(), ""), ("no address", ""), (ada.email, "no-such-store")):
        result = await run("customer", "login-link", email, code=code)
        assert result.exit_code == 1, email
        assert "Traceback" not in result.output
    assert await mails() == []


@pytest.fixture
async def earner(guest: Guest, sessions, redis_url) -> Member:
    member = await join(guest, sessions, redis_url, firstname="Ines")
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE customers SET referral_balance = 1000 WHERE id = :id"), {"id": member.customer_id}
        )
    return member


async def ask_for(member: Member, amount: int) -> str:
    answer = await member.call("POST", "/customer/withdrawals", {"amount": amount})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def balance_of(member: Member) -> int:
    return (await member.call("GET", "/customer/referral")).json()["balance"]


async def test_withdrawals_are_listed_approved_paid_and_refused(run, earner: Member):
    first, second = await ask_for(earner, 300), await ask_for(earner, 250)
    listed = (await run("withdrawal", "list")).output.splitlines()
    assert [(line.split()[0], line.split()[1], line.split()[2]) for line in listed] == [
        (first, "requested", "3.00"),
        (second, "requested", "2.50"),
    ]
    assert (await run("withdrawal", "paid", first)).exit_code == 1
    assert "approved" in (await run("withdrawal", "approve", first)).output
    assert "paid" in (await run("withdrawal", "paid", first)).output
    assert "refused" in (await run("withdrawal", "refuse", second, "--note", "We know this one")).output
    assert await balance_of(earner) == 700
    assert (await run("withdrawal", "list")).output == "Nothing waits.\n"
    assert len((await run("withdrawal", "list", "--all")).output.splitlines()) == 2
    again = await run("withdrawal", "approve", second)
    assert (again.exit_code, "refused" in again.output) == (1, True)


async def test_a_withdrawal_of_another_store_is_not_there(run, earner: Member, sessions):
    from tests.conftest import make_store

    number = await ask_for(earner, 300)
    other = await make_store(sessions)
    result = await run("withdrawal", "approve", number, code=other.code)
    assert (result.exit_code, "no such withdrawal" in result.output) == (1, True)


def test_units_that_no_line_can_have_are_refused_as_they_are_typed():
    for typed in ("1=4000000000", "1=²", "²", "1=-1", "1=", "=1", "9999999"):
        for command in (["refund", "1", "--reason", "No"], ["ship", "1", "--carrier", "Alpine Post"]):
            told = CliRunner().invoke(main, ["order", *command, "--line", typed])
            assert (told.exit_code, "is no line with its units" in told.output) == (2, True), typed
