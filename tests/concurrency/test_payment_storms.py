"""Payments that everybody speaks of at once: events, returns, refunds, and the clock that gives a hold up."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from app.db.queue import Job
from app.domain.checkout.jobs import checkout_jobs, reconcile, sweep
from app.kit.clock import utc_now
from tests.concurrency.tally import in_batches, tally
from tests.shop import Guest, add_variant
from tests.standins.books import check_money

SECOND_STEP = "pm_card_authenticationRequired"
ALL = "payments WHERE store_id = :store"


async def rows(sessions, store, query: str) -> list[Any]:
    async with sessions() as session:
        return list(await session.execute(text(query), {"store": store.id}))


async def change(sessions, store, statement: str) -> None:
    async with sessions() as session:
        await session.execute(text(statement), {"store": store.id})
        await session.commit()


async def intents_of(sessions, store, stripe) -> dict[str, dict[str, Any]]:
    """The PaymentIntents of a store's attempts, by the checkout's token."""
    found = await rows(
        sessions,
        store,
        "SELECT p.key, o.checkout_token FROM payments p JOIN orders o ON o.id = p.order_id "
        "WHERE p.store_id = :store",
    )
    tokens = {row.key: row.checkout_token for row in found}
    return {
        tokens[one["metadata"]["attempt"]]: one
        for one in stripe.intents.values()
        if one["metadata"]["attempt"] in tokens
    }


async def wait_for_second_step(guests: list[Guest], variant: int) -> int:
    """Bring guests to the point where their bank wants to see them; the total of each."""
    checkouts = await in_batches(guest.prepare(variant) for guest in guests)
    total: int = checkouts[0]["totals"]["total"]
    answers = await in_batches(
        guest.pay(total, service="stripe", payment_token=SECOND_STEP) for guest in guests
    )
    assert {answer.json()["code"] for answer in answers} == {"second_step_required"}
    return total


def come_back(guest: Guest):
    """The page after the second step."""
    return guest.call("POST", f"/checkout/{guest.token}/payment/stripe/confirm", {})


async def reconcile_all(worker, sessions, store) -> None:
    """Rounds of the worker until nothing of this store is open."""
    async with asyncio.timeout(30):
        while await rows(
            sessions,
            store,
            f"SELECT 1 FROM {ALL} AND state IN ('started', 'action_needed', 'unknown') LIMIT 1",
        ):
            await reconcile(worker.till, worker.stores, now=utc_now(), quiet=timedelta(0))


async def test_events_and_returns_in_any_order_make_one_order_each(
    crowd, servers, sessions, store, stripe, sized, figure
):
    number = sized(200, 12)
    variant = await add_variant(sessions, store, on_hand=number + 5)
    guests: list[Guest] = crowd(number)
    half = number // 2
    # One half has been at the bank and comes back; of the other half the answer to the charge hangs.
    total = await wait_for_second_step(guests[:half], variant)
    await in_batches(guest.prepare(variant) for guest in guests[half:])
    before = len(stripe.log)
    stripe.fail("confirm", *["hang"] * (number - half))
    charges = [
        asyncio.create_task(guest.pay(total, service="stripe", payment_token="pm_card_visa"))
        for guest in guests[half:]
    ]
    async with asyncio.timeout(30):
        while len(stripe.log) < before + number - half:  # noqa: ASYNC110 - the stand-in rings no bell
            await asyncio.sleep(0.01)
    intents = await intents_of(sessions, store, stripe)
    for guest in guests[:half]:
        stripe.authenticate(intents[guest.token]["id"])
    client = guests[0].client
    calls = [
        partial(stripe.send, client, event)
        for intent in intents.values()
        for event in stripe.events_of(intent["id"])
        for _ in range(3)
    ]
    told = len(calls)
    calls += [partial(come_back, guest) for guest in guests for _ in range(3)]
    random.Random(2026).shuffle(calls)
    stripe.release()
    answers = await in_batches((call() for call in calls), size=100)
    paid = await asyncio.gather(*charges)
    assert Counter(answer.status_code for answer in [*answers, *paid]) == {200: len(calls), 204: len(paid)}
    found = await tally(sessions, store, variant)
    assert (found.orders, found.numbers, found.on_hand, found.reserved) == (number, number, 5, 0)
    assert found.captured == found.booked == number * total
    await check_money(sessions, store.id, stripe)
    figure(
        f"{number} checkouts, {told} events (each three times) and {3 * number} returns, shuffled: "
        f"{found.orders} orders, no 5xx"
    )


async def test_late_money_goes_back_once_however_often_its_refund_runs(
    crowd, sessions, store, stripe, worker, sized, figure
):
    number, repeats = sized(10, 2), sized(50, 20)
    variant = await add_variant(sessions, store, on_hand=number)
    guests: list[Guest] = crowd(number)
    total = await wait_for_second_step(guests, variant)
    # Given up because Stripe had, so it seemed, never heard of them; then the shoppers pay all the same.
    await change(
        sessions,
        store,
        "UPDATE payments SET state = 'started', reference = NULL, created_at = now() - interval '2 minutes' "
        "WHERE store_id = :store",
    )
    stripe.hidden_from_lists = True
    await reconcile_all(worker, sessions, store)
    stripe.hidden_from_lists = False
    intents = await intents_of(sessions, store, stripe)
    for intent in intents.values():
        stripe.authenticate(intent["id"])
    events = [
        event
        for intent in intents.values()
        for event in stripe.events_of(intent["id"], "payment_intent.succeeded")
    ] * 3
    random.Random(7).shuffle(events)
    answers = await asyncio.gather(*(stripe.send(guests[0].client, event) for event in events))
    assert {answer.status_code for answer in answers} == {200}
    jobs = await rows(
        sessions,
        store,
        "SELECT id, store_id, kind, dedupe_key, payload FROM jobs "
        "WHERE store_id = :store AND kind = 'payments.refund'",
    )
    assert len(jobs) == number
    refund = checkout_jobs(till=worker.till, stores=worker.stores, clock=utc_now)["payments.refund"]
    for job in jobs:
        await asyncio.gather(*(refund(Job(*job, tries=1)) for _ in range(repeats)))
    assert [stripe.refunded(intent["id"]) for intent in intents.values()] == [total] * number
    await change(
        sessions,
        store,
        "UPDATE jobs SET state = 'done', finished_at = now() WHERE store_id = :store AND state = 'queued'",
    )
    found = await tally(sessions, store, variant)
    assert (found.orders, found.on_hand, found.reserved, found.booked) == (0, number, 0, 0)
    assert found.captured == found.refunded == number * total
    await check_money(sessions, store.id, stripe)
    figure(f"{number} late payments x {repeats} parallel refunds: each sum given back once")


@pytest.mark.parametrize("seed", range(2))
async def test_a_hold_that_runs_out_while_its_shopper_pays_ends_one_way_or_the_other(
    crowd, sessions, store, stripe, worker, sized, figure, seed
):
    number = sized(100, 16)
    variant = await add_variant(sessions, store, on_hand=number)
    guests: list[Guest] = crowd(number)
    total = await wait_for_second_step(guests, variant)
    intents = await intents_of(sessions, store, stripe)
    await change(
        sessions,
        store,
        "UPDATE checkouts SET held_until = now() - interval '1 s' WHERE store_id = :store",
    )
    shoppers = list(guests)
    random.Random(seed).shuffle(shoppers)
    turn = asyncio.Semaphore(4)  # as many at a time as the worker asks about

    async def shop(guest: Guest) -> list[int]:
        async with turn:
            intent = intents[guest.token]
            if intent["status"] == "requires_action":
                stripe.authenticate(intent["id"])
            said = [
                come_back(guest),
                *(stripe.send(guest.client, event) for event in stripe.events_of(intent["id"])),
            ]
            return [answer.status_code for answer in await asyncio.gather(*said)]

    _, *codes = await asyncio.gather(reconcile_all(worker, sessions, store), *(shop(one) for one in shoppers))
    # 402 and 409: the hold was quicker, and the page says so.
    assert {code for found in codes for code in found} <= {200, 402, 409}
    await reconcile_all(worker, sessions, store)
    found = await tally(sessions, store, variant)
    given_up = number - found.orders
    assert (found.on_hand, found.reserved) == (given_up, 0)
    assert found.captured - found.refunded == found.orders * total
    states = await rows(sessions, store, "SELECT state FROM checkouts WHERE store_id = :store")
    assert sorted(row.state for row in states) == ["completed"] * found.orders + ["priced"] * given_up
    await check_money(sessions, store.id, stripe)
    figure(
        f"{number} holds run out while their shoppers pay: {found.orders} orders, {given_up} given back, "
        "stock and money agree"
    )


async def test_a_checkout_that_is_over_takes_no_order_and_no_stock(
    crowd, sessions, store, worker, sized, figure
):
    number = sized(100, 20)
    variant = await add_variant(sessions, store, on_hand=number)
    guests: list[Guest] = crowd(number)
    checkouts = await in_batches(guest.prepare(variant) for guest in guests)
    total = checkouts[0]["totals"]["total"]
    # Their time runs out one after the other while they pay and the sweeper goes round.
    await change(
        sessions,
        store,
        f"UPDATE checkouts SET expires_at = now() + random() * interval '{number * 10} ms' "
        "WHERE store_id = :store",
    )
    over = asyncio.Event()

    async def go_round() -> None:
        while not over.is_set():
            await sweep(worker.sessions, now=utc_now())

    async def pay_all() -> list[Any]:
        try:
            return await in_batches((guest.pay(total) for guest in guests), size=5)
        finally:
            over.set()

    answers, _ = await asyncio.gather(pay_all(), go_round())
    said = Counter(
        (answer.status_code, answer.json()["code"] if answer.content else "") for answer in answers
    )
    assert set(said) <= {(204, ""), (409, "checkout_expired")}, said
    found = await tally(sessions, store, variant)
    assert found.orders == said[(204, "")]
    assert (found.on_hand, found.reserved) == (number - found.orders, 0)
    assert not await rows(
        sessions,
        store,
        "SELECT o.id FROM orders o JOIN checkouts c ON c.id = o.checkout_id "
        "WHERE o.store_id = :store AND (o.created_at >= c.expires_at OR c.state <> 'completed')",
    )
    figure(
        f"{number} checkouts run out while they are paid: {found.orders} orders, "
        f"{number - found.orders} checkout_expired, no stock held"
    )
