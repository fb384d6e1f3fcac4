"""How uses are held, kept and given back, where two transactions meet."""

import asyncio

import pytest
from sqlalchemy import text

from app.db.session import transaction
from app.domain.promotions.quotes import Applied
from app.domain.promotions.uses import give_back_uses, hold_uses, keep_uses
from app.kit.clock import utc_now
from tests.shop import add_promotion, waiting_for_locks


def applied(promotion: int, coupon: int | None = None) -> Applied:
    return Applied(promotion, coupon, "CODE", "Offer", "percent", 1000, 1, limited=True)


async def hold(session, store, offer: Applied, checkout: int, *, email="ada@example.com", customer=None):
    """None where the use could be had, else the code that says why not."""
    lost = await hold_uses(
        session,
        store.id,
        checkout_id=checkout,
        applied=(offer,),
        customer_id=customer,
        email=email,
        now=utc_now(),
    )
    return lost and lost.why.code


async def coupon_of(sessions, promotion: int) -> int:
    async with sessions() as session:
        return await session.scalar(
            text("SELECT id FROM coupons WHERE promotion_id = :id"), {"id": promotion}
        )


async def counters(sessions, promotion: int) -> tuple[int, int | None]:
    async with sessions() as session:
        row = await session.execute(
            text(
                "SELECT p.uses, (SELECT sum(c.uses) FROM coupons c WHERE c.promotion_id = p.id) "
                "FROM promotions p WHERE p.id = :id"
            ),
            {"id": promotion},
        )
        return tuple(row.one())


async def in_turn(
    sessions, store, offer: Applied, *, second_email: str, second_offer: Applied | None = None, customer=None
):
    """Two checkouts hold a use, the second while the first has not committed; what the second hears."""

    async def follow():
        async with sessions() as session:
            heard = await hold(
                session, store, second_offer or offer, 2, email=second_email, customer=customer
            )
            await session.rollback()
            return heard

    async with sessions() as first:
        assert await hold(first, store, offer, 1, customer=customer) is None
        second = asyncio.create_task(follow())
        await waiting_for_locks(sessions, 1)
        await first.commit()
    return await second


async def test_who_waits_for_the_last_use_finds_it_gone(sessions, store):
    offer = applied(await add_promotion(sessions, store, "CODE", max_uses=1))
    assert await in_turn(sessions, store, offer, second_email="bob@example.com") == "coupon_used_up"


async def test_who_waits_for_the_last_use_of_a_code_finds_it_gone(sessions, store):
    promotion = await add_promotion(sessions, store, "CODE", each=1)
    offer = applied(promotion, await coupon_of(sessions, promotion))
    assert await in_turn(sessions, store, offer, second_email="bob@example.com") == "coupon_used_up"


async def test_a_customer_who_comes_twice_at_once_has_one_use(sessions, store):
    for limit in ({"max_per_customer": 1}, {"first_order": True}):
        offer = applied(await add_promotion(sessions, store, "CODE", **limit))
        heard = await in_turn(sessions, store, offer, second_email="ADA+1@example.com")
        said = "coupon_first_order_only" if "first_order" in limit else "coupon_already_used"
        assert heard == said, limit
        async with transaction(sessions) as session:
            await session.execute(text("DELETE FROM coupons WHERE store_id = :id"), {"id": store.id})


@pytest.mark.parametrize(
    ("second_email", "customer"), [("ada+1@example.com", None), ("another@example.com", 7)]
)
async def test_a_first_order_is_one_whichever_promotions_are_for_it(sessions, store, second_email, customer):
    welcome, hello, other = [
        applied(await add_promotion(sessions, store, code, first_order=first))
        for code, first in (("WELCOME", True), ("HELLO", True), ("OTHER", False))
    ]
    turn = {"second_email": second_email, "second_offer": hello, "customer": customer}
    assert await in_turn(sessions, store, welcome, **turn) == "coupon_first_order_only"
    async with sessions() as session:
        # Somebody else has a first order of their own, and what is for any order counts for itself.
        assert await hold(session, store, hello, 3, email="bob@example.com", customer=8) is None
        assert await hold(session, store, other, 2, email=second_email, customer=customer) is None
        await give_back_uses(session, store.id, checkout_id=1, now=utc_now())
        assert await hold(session, store, hello, 2, email=second_email, customer=customer) is None


async def test_what_is_for_any_order_takes_nobodys_first_order_away(sessions, store):
    other = applied(await add_promotion(sessions, store, "OTHER", max_per_customer=1))
    welcome = applied(await add_promotion(sessions, store, "WELCOME", first_order=True))
    async with transaction(sessions) as session:
        assert await hold(session, store, other, 1) is None
        assert await hold(session, store, welcome, 2) is None


async def test_an_account_is_one_customer_whatever_mail_address_it_gives(sessions, store):
    offer = applied(await add_promotion(sessions, store, "CODE", max_per_customer=1))
    async with transaction(sessions) as session:
        assert await hold(session, store, offer, 1, email="one@example.com", customer=7) is None
    async with sessions() as session:
        found = await hold(session, store, offer, 2, email="two@example.com", customer=7)
        assert found == "coupon_already_used"
    # What came back is none: the account may use it for another order.
    async with transaction(sessions) as session:
        assert await give_back_uses(session, store.id, checkout_id=1, now=utc_now()) == 1
        assert await hold(session, store, offer, 2, email="two@example.com", customer=7) is None


@pytest.mark.parametrize("used", [False, True])
async def test_a_use_comes_back_once_held_or_used(sessions, store, used):
    promotion = await add_promotion(sessions, store, "CODE", max_uses=3)
    offer = applied(promotion, await coupon_of(sessions, promotion))
    async with transaction(sessions) as session:
        assert await hold(session, store, offer, 1) is None
        assert await hold(session, store, offer, 2, email="bob@example.com") is None
        if used:
            await keep_uses(session, store.id, checkout_id=1, now=utc_now())
    assert await counters(sessions, promotion) == (2, 2)

    async def give_back() -> int:
        async with transaction(sessions) as session:
            return await give_back_uses(session, store.id, checkout_id=1, now=utc_now())

    assert sorted(await asyncio.gather(give_back(), give_back())) == [0, 1]
    assert await counters(sessions, promotion) == (1, 1)


async def test_a_use_that_came_back_can_be_held_again_by_the_same_checkout(sessions, store):
    promotion = await add_promotion(sessions, store, "CODE", max_uses=1, max_per_customer=1)
    offer = applied(promotion, await coupon_of(sessions, promotion))
    for _ in range(2):
        async with transaction(sessions) as session:
            assert await hold(session, store, offer, 1) is None
        assert await counters(sessions, promotion) == (1, 1)
        async with transaction(sessions) as session:
            assert await give_back_uses(session, store.id, checkout_id=1, now=utc_now()) == 1
