"""Many buyers, few units; one checkout, many callers. Each rule with the race that it guards against."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy import text

from app.db.session import Sessions
from tests.concurrency.tally import in_batches, tally
from tests.shop import Guest, add_variant


@pytest.mark.parametrize("service", ["test", "manual"])
async def test_of_four_buyers_to_a_unit_exactly_one_gets_it(crowd, sessions, store, service, sized, figure):
    units, runs = sized(50, 20), sized(10, 1)
    for run in range(1, runs + 1):
        variant = await add_variant(sessions, store, price=2000, on_hand=units)
        guests: list[Guest] = crowd(4 * units)
        checkouts = await in_batches(guest.prepare(variant) for guest in guests)
        total = checkouts[0]["totals"]["total"]
        answers = await asyncio.gather(*(guest.pay(total, service=service) for guest in guests))
        assert Counter((a.status_code, a.json()["code"] if a.content else "") for a in answers) == {
            (204, ""): units,
            (409, "out_of_stock"): 3 * units,
        }
        found = await tally(sessions, store, variant)
        assert (found.orders, found.numbers) == (run * units, run * units)
        assert (found.on_hand, found.reserved, found.moved) == (0, 0, 0)
        paid = run * units * total if service == "test" else 0
        assert (found.captured, found.booked) == (paid, paid)
    figure(
        f"{4 * units} parallel checkouts on {units} units ({service}), {runs} times: {found.orders} orders, "
        f"{runs * 3 * units} out_of_stock, stock {found.on_hand}, no 5xx"
    )


async def test_the_last_unit_goes_to_one_of_two_buyers(crowd, sessions, store):
    for _ in range(5):
        variant = await add_variant(sessions, store, on_hand=1)
        guests = crowd(2)
        checkouts = await asyncio.gather(*(guest.prepare(variant) for guest in guests))
        total = checkouts[0]["totals"]["total"]
        answers = await asyncio.gather(*(guest.pay(total) for guest in guests))
        assert sorted(answer.status_code for answer in answers) == [204, 409]


@pytest.mark.parametrize("service", ["test", "manual"])
async def test_eight_completions_of_one_checkout_make_one_order(
    crowd, sessions, store, service, sized, figure
):
    number = sized(100, 10)
    variant = await add_variant(sessions, store, on_hand=200)
    guests: list[Guest] = crowd(number)
    checkouts = await in_batches(guest.prepare(variant) for guest in guests)
    total = checkouts[0]["totals"]["total"]

    async def complete(guest: Guest) -> None:
        answers = await asyncio.gather(*(guest.pay(total, service=service) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {204}
        assert len({answer.headers["location"] for answer in answers}) == 1

    # Ten checkouts at a time: eighty calls are in the house.
    await in_batches((complete(guest) for guest in guests), size=10)
    found = await tally(sessions, store, variant)
    assert (found.orders, found.on_hand, found.reserved) == (number, 200 - number, 0)
    assert found.payments == number
    figure(f"{number} checkouts x 8 parallel completions ({service}): {found.orders} orders, no 5xx")


async def deadlocks(sessions: Sessions) -> int:
    """How many the database has broken up so far, whether a client heard of it or not."""
    async with sessions() as session:
        found: int | None = await session.scalar(
            text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    return found or 0


async def test_baskets_with_the_same_items_in_another_order_never_deadlock(
    crowd, sessions, store, sized, figure
):
    number = sized(500, 40)
    variants = [await add_variant(sessions, store, on_hand=2 * number) for _ in range(5)]
    guests: list[Guest] = crowd(number)
    before = await deadlocks(sessions)

    async def fill(guest: Guest, turn: int) -> int:
        """All five, each guest in an order of their own, and one of them once more at the end."""
        for step in range(5):
            await guest.add(variants[(turn + step) % 5 if turn % 2 else (turn - step) % 5])
        total: int = (await guest.prepare(variants[turn % 5]))["totals"]["total"]
        return total

    asked_again = 0

    async def pay(guest: Guest, total: int) -> int:
        """Pay, and ask again where the till is too busy, or does not know the outcome yet, as its answer says."""
        nonlocal asked_again
        while (answer := await guest.pay(total)).status_code in (202, 503) and asked_again < 10 * number:
            asked_again += 1
        return answer.status_code

    totals = await in_batches(fill(guest, turn) for turn, guest in enumerate(guests))
    answers = await asyncio.gather(*(pay(guest, total) for guest, total in zip(guests, totals, strict=True)))
    assert Counter(answers) == {204: number}
    assert await deadlocks(sessions) == before
    sold = [(await tally(sessions, store, variant)).on_hand for variant in variants]
    assert sum(2 * number - left for left in sold) == 6 * number
    figure(
        f"{number} parallel carts and checkouts over 5 hot items: {number} orders, 0 deadlocks in the "
        f"database, asked again {asked_again} times"
    )


async def test_without_the_guard_the_race_is_real(sessions, store):
    """The control: look first, then write, and far more is sold than there is."""
    variant = await add_variant(sessions, store, on_hand=5)
    sold = 0
    together = asyncio.Barrier(10)

    async def buy() -> None:
        nonlocal sold
        async with sessions() as session:
            left = await session.scalar(
                text("SELECT on_hand FROM stock_items WHERE variant_id = :id"), {"id": variant}
            )
            await together.wait()
            if left:
                await session.execute(
                    text("UPDATE stock_items SET on_hand = :left WHERE variant_id = :id"),
                    {"id": variant, "left": left - 1},
                )
                await session.commit()
                sold += 1

    await asyncio.gather(*(buy() for _ in range(10)))
    assert sold == 10
