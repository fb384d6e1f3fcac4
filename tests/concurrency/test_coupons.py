"""Many shoppers, few uses: a coupon is never used more often than it may be, in all and by one customer."""

import asyncio
from collections import Counter

from sqlalchemy import text

from app.db.audit import run_audit
from app.db.session import transaction
from app.domain.promotions.quotes import Applied
from app.domain.promotions.uses import hold_uses
from app.kit.clock import utc_now
from tests.concurrency.tally import in_batches
from tests.shop import Guest, add_promotion, add_variant


async def with_coupon(guest: Guest, variant: int, code: str) -> int:
    """A checkout with a code on it that only wants paying; its total."""
    await guest.prepare(variant)
    answer = await guest.call("PUT", f"/checkout/{guest.token}/coupon", {"coupon": code})
    assert answer.status_code == 200, answer.text
    total: int = answer.json()["totals"]["total"]
    return total


async def uses(sessions, promotion: int) -> tuple[int, int, int]:
    """Uses as the promotion counts them, as its codes do, and as they stand there one by one."""
    async with sessions() as session:
        row = await session.execute(
            text(
                "SELECT p.uses, (SELECT sum(c.uses) FROM coupons c WHERE c.promotion_id = p.id), "
                "(SELECT count(*) FROM coupon_uses u WHERE u.promotion_id = p.id AND u.state = 'used') "
                "FROM promotions p WHERE p.id = :id"
            ),
            {"id": promotion},
        )
        return tuple(row.one())


def outcomes(answers) -> Counter[tuple[int, str]]:
    return Counter(
        (answer.status_code, answer.json()["code"] if answer.content else "") for answer in answers
    )


async def test_of_many_parallel_uses_of_a_coupon_for_10_exactly_10_count(
    crowd, sessions, store, reads, sized, figure
):
    buyers = sized(200, 80)
    promotion = await add_promotion(sessions, store, "TEN", max_uses=10)
    variant = await add_variant(sessions, store, price=2000, on_hand=500)
    guests: list[Guest] = crowd(buyers)
    for number, guest in enumerate(guests):
        guest.email = f"buyer{number}@example.com"
    totals = await in_batches(with_coupon(guest, variant, "TEN") for guest in guests)
    calls = (
        guest.pay(total, service=("test", "manual")[number % 2])
        for number, (guest, total) in enumerate(zip(guests, totals, strict=True))
    )
    answers = await asyncio.gather(*calls)
    assert outcomes(answers) == {(204, ""): 10, (422, "coupon_used_up"): buyers - 10}
    assert await uses(sessions, promotion) == (10, 10, 10)
    assert await run_audit(reads, utc_now(), store_id=store.id) == []
    figure(f"coupon limit 10 under {buyers} parallel uses: 10 orders, {buyers - 10} coupon_used_up, no 5xx")


async def test_of_20_parallel_uses_by_one_customer_of_a_coupon_for_one_exactly_1_counts(
    crowd, sessions, store, reads, figure
):
    promotion = await add_promotion(sessions, store, "MINE", max_per_customer=1)
    variant = await add_variant(sessions, store, price=2000, on_hand=100)
    guests: list[Guest] = crowd(20)
    for number, guest in enumerate(guests):
        guest.email = f"ada+{number}@example.com"
    totals = await in_batches(with_coupon(guest, variant, "MINE") for guest in guests)
    answers = await asyncio.gather(*(guest.pay(total) for guest, total in zip(guests, totals, strict=True)))
    assert outcomes(answers) == {(204, ""): 1, (422, "coupon_already_used"): 19}
    assert await uses(sessions, promotion) == (1, 1, 1)
    assert await run_audit(reads, utc_now(), store_id=store.id) == []
    figure("coupon once per customer under 20 parallel uses: 1 order, 19 coupon_already_used")


async def test_what_comes_by_itself_and_runs_out_is_a_new_total_for_everybody_else(
    crowd, sessions, store, reads
):
    promotion = await add_promotion(sessions, store, max_uses=5)
    variant = await add_variant(sessions, store, price=2000, on_hand=100)
    guests: list[Guest] = crowd(20)
    checkouts = await in_batches(guest.prepare(variant) for guest in guests)
    total = checkouts[0]["totals"]["total"]
    answers = await asyncio.gather(*(guest.pay(total) for guest in guests))
    assert outcomes(answers) == {(204, ""): 5, (409, "total_changed"): 15}
    late = next(answer for answer in answers if answer.status_code == 409)
    assert late.json()["totals"]["total"] == total + 200
    assert (await uses(sessions, promotion))[0] == 5
    assert await run_audit(reads, utc_now(), store_id=store.id) == []


async def test_declined_payments_give_every_use_back_however_they_meet(crowd, sessions, store, reads):
    promotion = await add_promotion(sessions, store, "FIVE", max_uses=5)
    variant = await add_variant(sessions, store, price=2000, on_hand=100)
    guests: list[Guest] = crowd(30)
    for number, guest in enumerate(guests):
        guest.email = f"buyer{number}@example.com"
    totals = await in_batches(with_coupon(guest, variant, "FIVE") for guest in guests)
    answers = await asyncio.gather(
        *(guest.pay(total, payment_token="decline") for guest, total in zip(guests, totals, strict=True))
    )
    assert {answer.status_code for answer in answers} <= {402, 422}
    assert (await uses(sessions, promotion))[0] == 0
    answers = await asyncio.gather(*(guest.pay(total) for guest, total in zip(guests, totals, strict=True)))
    assert outcomes(answers) == {(204, ""): 5, (422, "coupon_used_up"): 25}
    assert await run_audit(reads, utc_now(), store_id=store.id) == []


async def test_without_the_guard_the_race_is_real(sessions, store):
    """The control: look first, then write, and a coupon for 5 is used by everybody who looked in time."""
    promotion = await add_promotion(sessions, store, "FIVE", max_uses=5)
    together = asyncio.Barrier(10)
    used = 0

    async def use() -> None:
        nonlocal used
        async with transaction(sessions) as session:
            found = await session.scalar(
                text("SELECT uses < max_uses FROM promotions WHERE id = :id"), {"id": promotion}
            )
            await together.wait()
            used += bool(found)

    await asyncio.gather(*(use() for _ in range(10)))
    assert used == 10

    def applied() -> Applied:
        return Applied(promotion, None, "FIVE", "Five", "percent", 1000, 1, limited=True)

    async def hold(checkout: int) -> bool:
        async with transaction(sessions) as session:
            lost = await hold_uses(
                session,
                store.id,
                checkout_id=checkout,
                applied=(applied(),),
                customer_id=None,
                email=f"{checkout}@example.com",
                now=utc_now(),
            )
            return lost is None

    assert sum(await asyncio.gather(*(hold(-number) for number in range(1, 11)))) == 5
