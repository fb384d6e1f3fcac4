"""What inviting earns: one reward for each who came and paid, a balance that is never overdrawn, and its ledger."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from app.db.audit import run_audit
from app.db.session import transaction
from app.domain.accounts.referral import referral_jobs, reward_inviter
from app.domain.accounts.withdrawals import (
    approve_withdrawal,
    mark_withdrawal_paid,
    refuse_withdrawal,
)
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.models import Store
from app.domain.stores.queries import ReferralRule
from app.kit.clock import utc_now
from app.kit.errors import Conflict, NotFound
from app.worker import work_once
from tests.people import Member, join
from tests.shop import Guest, add_variant


async def set_rule(sessions, store, **rule) -> None:
    async with transaction(sessions) as session:
        kept = await session.get_one(Store, store.id)
        kept.settings = {"referral": rule}


@pytest.fixture
async def inviter(guest: Guest, sessions, redis_url) -> Member:
    await set_rule(sessions, guest.store, share=500)
    return await join(guest, sessions, redis_url, firstname="Ines")


@pytest.fixture
async def work(sessions, reads):
    handlers = referral_jobs(sessions=sessions, stores=StoreDirectory(reads), clock=utc_now)

    async def until_done() -> None:
        while await work_once(sessions, handlers):
            pass

    return until_done


@pytest.fixture
async def clean(inviter, reads):
    """In the end the audit finds nothing."""
    yield
    assert await run_audit(reads, utc_now(), store_id=inviter.store.id) == []


async def invite(inviter: Member, sessions, redis_url, **columns) -> Member:
    return await join(inviter, sessions, redis_url, invited_by=inviter.customer_id, **columns)


async def buy(
    member: Member, sessions, *, price: int = 2500, quantity: int = 2, service: str = "test"
) -> int:
    """An order of a logged-in customer; what it came to."""
    variant = await add_variant(sessions, member.store, price=price, on_hand=50)
    checkout = await member.prepare(variant, quantity)
    total: int = checkout["totals"]["total"]
    paid = await member.pay(total, service=service)
    assert paid.status_code == 204, paid.text
    return total


async def referral(member: Member) -> dict:
    return (await member.call("GET", "/customer/referral")).json()


async def booked(sessions, member: Member) -> int:
    async with sessions() as session:
        found = await session.scalar(
            text(
                "SELECT coalesce(sum(-amount), 0) FROM ledger_entries WHERE store_id = :store AND account = :name"
            ),
            {"store": member.store.id, "name": f"referral:{member.customer_id}"},
        )
    return int(found)


async def earn(inviter: Member, sessions, redis_url, amount: int) -> None:
    """Let the inviter have this much on the balance."""
    friend = await invite(inviter, sessions, redis_url)
    await buy(friend, sessions)
    rule = SimpleNamespace(id=inviter.store.id, currency="USD", referral=ReferralRule(amount=amount))
    async with transaction(sessions) as session:
        await reward_inviter(session, rule, customer_id=friend.customer_id, now=utc_now())


async def withdraw(member: Member, amount: object, **headers):
    return await member.call("POST", "/customer/withdrawals", {"amount": amount}, **headers)


async def test_the_first_paid_order_of_an_invited_customer_earns_a_share_of_its_goods(
    inviter, sessions, redis_url, work, clean
):
    friend = await invite(inviter, sessions, redis_url, firstname="Bo", username="Bo Lind")
    before = await referral(inviter)
    assert (before["balance"], before["invited"][0]["reward"]) == (0, None)
    await buy(friend, sessions, price=2499)  # 4998 of goods and 500 of shipping
    await work()
    after = await referral(inviter)
    assert (after["balance"], after["currency"], after["invited_count"]) == (250, "USD", 1)
    assert after["reward"] == {"amount": None, "share": 500}
    assert [(one["name"], one["reward"]) for one in after["invited"]] == [("Bo", 250)]
    assert [(one["kind"], one["amount"]) for one in after["movements"]] == [("reward", 250)]
    assert await booked(sessions, inviter) == 250


async def test_a_second_order_and_a_job_that_runs_twice_earn_nothing_more(
    inviter, sessions, redis_url, work, clean, reads
):
    friend = await invite(inviter, sessions, redis_url)
    for _ in range(2):
        await buy(friend, sessions)
        await work()
    store = await StoreDirectory(reads).get(inviter.store.id)

    async def again() -> None:
        async with transaction(sessions) as session:
            await reward_inviter(session, store, customer_id=friend.customer_id, now=utc_now())

    await asyncio.gather(*(again() for _ in range(6)))
    assert (await referral(inviter))["balance"] == 250
    assert await booked(sessions, inviter) == 250


async def test_a_fixed_reward_does_not_ask_what_the_order_came_to(inviter, sessions, redis_url, work, clean):
    await set_rule(sessions, inviter.store, amount=1000)
    friend = await invite(inviter, sessions, redis_url)
    await buy(friend, sessions, price=100, quantity=1)
    await work()
    assert (await referral(inviter))["balance"] == 1000


@pytest.mark.parametrize("why", ["no rule", "nobody invited", "not paid yet", "inviter closed"])
async def test_nothing_is_earned_without_rule_invitation_payment_or_account(
    inviter, sessions, redis_url, work, clean, why
):
    if why == "no rule":
        await set_rule(sessions, inviter.store)
    if why == "inviter closed":
        async with transaction(sessions) as session:
            await session.execute(
                text("UPDATE customers SET closed_at = now() WHERE id = :id"), {"id": inviter.customer_id}
            )
    friend = (
        await join(inviter, sessions, redis_url)
        if why == "nobody invited"
        else await invite(inviter, sessions, redis_url)
    )
    await buy(friend, sessions, service="manual" if why == "not paid yet" else "test")
    await work()
    assert await booked(sessions, inviter) == 0


async def test_a_withdrawal_leaves_the_balance_at_once(inviter, sessions, redis_url, clean):
    await earn(inviter, sessions, redis_url, 1000)
    answer = await withdraw(inviter, 400)
    assert answer.status_code == 200
    assert answer.json() | {"id": 0} == {
        "id": 0,
        "amount": 400,
        "currency": "USD",
        "status": "requested",
        "balance": 600,
    }
    assert (await referral(inviter))["balance"] == await booked(sessions, inviter) == 600


@pytest.mark.parametrize("amount", [0, -1, 1.5, True, "10", None, 10**15])
async def test_a_withdrawal_is_a_whole_positive_amount(inviter, amount):
    answer = await withdraw(inviter, amount)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "amount")


async def test_a_withdrawal_that_names_two_amounts_is_refused(inviter):
    headers = {**inviter.headers, "X-Store": inviter.store.code, "Content-Type": "application/json"}
    answer = await inviter.client.post(
        "/storefront/v1/customer/withdrawals", content='{"amount": 1, "amount": 900}', headers=headers
    )
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "repeated")


async def test_more_than_the_balance_is_refused_with_what_it_is(inviter, sessions, redis_url, clean):
    await earn(inviter, sessions, redis_url, 1000)
    answer = await withdraw(inviter, 1001)
    assert (answer.status_code, answer.json()["code"], answer.json()["balance"]) == (
        422,
        "balance_too_small",
        1000,
    )
    assert (await withdraw(inviter, 1000)).json()["balance"] == 0
    assert (await withdraw(inviter, 1)).json()["balance"] == 0


async def test_fifty_withdrawals_at_once_never_overdraw(inviter, sessions, redis_url, clean):
    await earn(inviter, sessions, redis_url, 1000)

    async def ask():
        # On a busy machine a call may find no connection in time; then it has done nothing.
        while (answer := await withdraw(inviter, 90)).status_code == 503:
            assert "retry-after" in answer.headers
        return answer

    answers = await asyncio.gather(*(ask() for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 11, 422: 39}
    assert (await referral(inviter))["balance"] == await booked(sessions, inviter) == 10


async def test_without_the_guard_the_balance_is_overdrawn(inviter, sessions, redis_url):
    """The control: look first, then write."""
    await earn(inviter, sessions, redis_url, 100)
    together, taken = asyncio.Barrier(5), []

    async def take() -> None:
        async with transaction(sessions) as session:
            read = text("SELECT referral_balance FROM customers WHERE id = :id")
            left = await session.scalar(read, {"id": inviter.customer_id})
            await together.wait()
            if left >= 100:
                await session.execute(
                    text("UPDATE customers SET referral_balance = :left WHERE id = :id"),
                    {"id": inviter.customer_id, "left": left - 100},
                )
                taken.append(100)

    await asyncio.gather(*(take() for _ in range(5)))
    assert sum(taken) == 500


async def test_a_repeated_key_asks_once(inviter, sessions, redis_url, clean):
    await earn(inviter, sessions, redis_url, 1000)
    key = {"Idempotency-Key": "pay me"}
    first, second = [await withdraw(inviter, 300, **key) for _ in range(2)]
    assert first.json() == second.json()
    assert (await referral(inviter))["balance"] == 700
    assert (await withdraw(inviter, 301, **key)).json()["code"] == "idempotency_mismatch"


async def test_a_refused_withdrawal_comes_back_once_and_a_paid_one_never(inviter, sessions, redis_url, clean):
    await earn(inviter, sessions, redis_url, 1000)
    refused, paid = [(await withdraw(inviter, amount)).json()["id"] for amount in (300, 200)]
    store_id, now = inviter.store.id, utc_now()

    async def decide(verb, number, **more):
        async with transaction(sessions) as session:
            return (await verb(session, store_id, number, now=now, **more)).status

    for _ in range(2):
        assert await decide(refuse_withdrawal, refused, note="We know this one") == "refused"
        assert await decide(approve_withdrawal, paid) == "approved"
    for _ in range(2):
        assert await decide(mark_withdrawal_paid, paid) == "paid"
    for verb, number, more in (
        (refuse_withdrawal, paid, {"note": ""}),
        (approve_withdrawal, paid, {}),
        (approve_withdrawal, refused, {}),
        (mark_withdrawal_paid, refused, {}),
    ):
        with pytest.raises(Conflict) as told:
            await decide(verb, number, **more)
        assert told.value.code == "withdrawal_decided"
    with pytest.raises(NotFound):
        async with transaction(sessions) as session:
            await approve_withdrawal(session, store_id + 10**6, paid, now=now)
    found = await referral(inviter)
    assert found["balance"] == await booked(sessions, inviter) == 800
    movements = Counter((one["kind"], one["amount"], one["status"]) for one in found["movements"])
    assert movements == {
        ("reward", 1000, None): 1,
        ("withdrawal", -300, "refused"): 1,
        ("refused", 300, None): 1,
        ("withdrawal", -200, "paid"): 1,
    }
    async with sessions() as session:
        rows = await session.execute(
            text(
                "SELECT account, sum(amount) FROM ledger_entries WHERE store_id = :store "
                "AND account IN ('withdrawals', 'payouts', 'referral_rewards') GROUP BY 1"
            ),
            {"store": store_id},
        )
        assert dict(rows.all()) == {"withdrawals": 0, "payouts": -200, "referral_rewards": 1000}


async def test_refusals_at_once_give_back_once(inviter, sessions, redis_url, clean):
    await earn(inviter, sessions, redis_url, 500)
    number = (await withdraw(inviter, 500)).json()["id"]

    async def refuse() -> None:
        async with transaction(sessions) as session:
            await refuse_withdrawal(session, inviter.store.id, number, note="", now=utc_now())

    await asyncio.gather(*(refuse() for _ in range(6)))
    assert (await referral(inviter))["balance"] == 500


async def test_a_guest_has_no_referral_and_another_customer_another_one(inviter, guest, sessions, redis_url):
    for method, path, body in (
        ("GET", "/customer/referral", None),
        ("POST", "/customer/withdrawals", {"amount": 1}),
    ):
        answer = await guest.call(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (401, "login_required")
    await earn(inviter, sessions, redis_url, 500)
    other = await join(guest, sessions, redis_url)
    found = await referral(other)
    assert (found["balance"], found["invited_count"], found["movements"]) == (0, 0, [])
    assert (await withdraw(other, 1)).status_code == 422


async def test_an_order_in_another_currency_earns_by_its_rate(inviter, sessions, redis_url, work):
    friend = await invite(inviter, sessions, redis_url)
    await buy(friend, sessions, price=2499)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE orders SET currency = 'EUR' WHERE store_id = :id"), {"id": inviter.store.id}
        )
        kept = await session.get_one(Store, inviter.store.id)
        kept.settings = {"referral": {"share": 500}, "currencies": [{"code": "EUR", "rate": "0.5"}]}
    await work()
    after = await referral(inviter)
    assert (after["balance"], after["currency"]) == (
        500,
        "USD",
    )  # of goods for 49.98 EUR, which are 99.96 USD
    assert await booked(sessions, inviter) == 500
