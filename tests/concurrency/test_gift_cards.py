"""Many checkouts, one gift card or one customer's credit: never more is spent than is on it, and nothing is lost."""

import asyncio
from collections import Counter

from sqlalchemy import text

from app.db.audit import run_audit
from app.db.session import transaction
from app.domain.giftcards.holds import Source, hold_parts, read_balances, release_parts, spend_parts
from app.domain.giftcards.service import give_credit
from app.domain.giftcards.split import Split
from app.kit.clock import utc_now
from tests.concurrency.tally import in_batches
from tests.people import make_customer
from tests.shop import Guest, add_gift_card, add_variant

PRICE, TOTAL = 2000, 2500


async def with_card(guest: Guest, variant: int, code: str) -> int:
    """A checkout of 25.00 with a card on it, that only wants paying; what is due."""
    await guest.prepare(variant)
    answer = await guest.call("PUT", f"/checkout/{guest.token}/gift-card", {"code": code})
    assert answer.status_code == 200, answer.text
    due: int = answer.json()["totals"]["due"]
    return due


async def on_card(sessions, card: int) -> tuple[int, int]:
    async with sessions() as session:
        row = await session.execute(text("SELECT balance, held FROM gift_cards WHERE id = :id"), {"id": card})
        return tuple(row.one())


def outcomes(answers) -> Counter[tuple[int, str]]:
    return Counter(
        (answer.status_code, answer.json()["code"] if answer.content else "") for answer in answers
    )


async def test_of_50_parallel_spends_of_a_gift_card_those_count_that_it_pays_for(
    crowd, sessions, store, figure
):
    variant = await add_variant(sessions, store, price=PRICE, on_hand=500)
    whole, whole_id = await add_gift_card(sessions, store, 10 * TOTAL)
    part, part_id = await add_gift_card(sessions, store, 1000)
    guests: list[Guest] = crowd(70)
    wholly, partly = guests[:50], guests[50:]
    assert set(await in_batches(with_card(guest, variant, whole) for guest in wholly)) == {0}
    assert set(await in_batches(with_card(guest, variant, part) for guest in partly)) == {TOTAL - 1000}
    answers = await asyncio.gather(
        *(guest.pay(0, service="gift_card", payment_token="") for guest in wholly),
        *(guest.pay(TOTAL - 1000) for guest in partly),
    )
    assert outcomes(answers[:50]) == {(204, ""): 10, (409, "total_changed"): 40}
    assert outcomes(answers[50:]) == {(204, ""): 1, (409, "total_changed"): 19}
    assert await on_card(sessions, whole_id) == await on_card(sessions, part_id) == (0, 0)
    late = next(answer.json() for answer in answers if answer.status_code == 409)
    assert late["totals"]["gift_card"] + late["totals"]["due"] == TOTAL
    figure(
        "gift card with 10 totals on it under 50 parallel spends: 10 orders, 40 total_changed, 0 left, no 5xx"
    )
    figure("gift card for a part of one total under 20 parallel split payments: 1 order, 19 total_changed")


async def test_declined_split_payments_give_every_part_back_however_they_meet(crowd, sessions, store, reads):
    variant = await add_variant(sessions, store, price=PRICE, on_hand=500)
    code, card = await add_gift_card(sessions, store, 1000)
    guests: list[Guest] = crowd(30)
    due = await in_batches(with_card(guest, variant, code) for guest in guests)
    answers = await asyncio.gather(
        *(guest.pay(left, payment_token="decline") for guest, left in zip(guests, due, strict=True))
    )
    assert outcomes(answers).keys() <= {(402, "payment_declined"), (409, "total_changed")}
    assert await on_card(sessions, card) == (1000, 0)
    assert await run_audit(reads, utc_now(), store_id=store.id) == []
    answers = await asyncio.gather(*(guest.pay(left) for guest, left in zip(guests, due, strict=True)))
    assert outcomes(answers) == {(204, ""): 1, (409, "total_changed"): 29}
    assert await on_card(sessions, card) == (0, 0)


async def test_of_50_parallel_holds_of_a_credit_those_count_that_it_pays_for(sessions, store, figure):
    """With the control: who looks first and writes then, finds enough every time."""
    customer = await make_customer(sessions, store)
    async with transaction(sessions) as session:
        credit = await give_credit(
            session, store.id, customer, amount=1000, currency="USD", reason="Sorry", now=utc_now()
        )
    source, checkouts = Source(None, customer), [-number for number in range(1, 51)]
    together = asyncio.Barrier(10)

    async def look() -> bool:
        async with sessions() as session:
            found = await read_balances(session, store.id, source, currency="USD", now=utc_now())
            await together.wait()
            return (found.credit or 0) >= 200

    assert sum(await asyncio.gather(*(look() for _ in range(10)))) == 10  # the control: 5 would be right

    async def hold(checkout: int) -> bool:
        async with transaction(sessions) as session:
            return await hold_parts(
                session,
                store.id,
                source,
                Split(store_credit=100),
                checkout_id=checkout,
                currency="USD",
                now=utc_now(),
            )

    held = dict(
        zip(checkouts, await asyncio.gather(*map(hold, checkouts), return_exceptions=True), strict=True)
    )
    assert {won for won in held.values() if won not in (True, False)} == set()
    winners = [checkout for checkout, won in held.items() if won]
    assert len(winners) == 10

    async def end(checkout: int, *, spend: bool) -> int:
        async with transaction(sessions) as session:
            if spend:
                return sum(one.amount for one in await spend_parts(session, store.id, checkout_id=checkout))
            await release_parts(session, store.id, checkout_id=checkout)
            return 0

    # Each is spent and given back by two at once; whoever comes first decides, and once.
    spent = await asyncio.gather(
        *(end(checkout, spend=turn % 2 == 0) for checkout in winners for turn in range(4)),
        return_exceptions=True,
    )
    assert [said for said in spent if isinstance(said, Exception)] == []
    async with transaction(sessions) as session:
        row = await session.execute(
            text("SELECT balance, held FROM store_credits WHERE id = :id"), {"id": credit.id}
        )
        assert tuple(row.one()) == (1000 - sum(spent), 0)
        assert not await session.scalar(
            text("SELECT count(*) FROM balance_holds WHERE store_id = :id"), {"id": store.id}
        )
    figure(
        "store credit for 10 under 50 parallel spends: 10 held, each spent or given back once, never below 0"
    )
