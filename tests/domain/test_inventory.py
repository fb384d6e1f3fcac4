"""Stock: held, sold, given back, never below its floor and never twice."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db.session import transaction
from app.db.statements import Statement
from app.domain.inventory.importing import StockCount, set_stock
from app.domain.inventory.service import (
    release_stock,
    reserve_stock,
    sell_reserved,
    sold,
    sold_values,
)
from app.kit.clock import utc_now
from app.kit.errors import Conflict
from tests.shop import add_variant, waiting_for_locks


async def stock(sessions, variant):
    async with sessions() as session:
        row = await session.execute(
            text("SELECT on_hand, reserved, floor FROM stock_items WHERE variant_id = :id"), {"id": variant}
        )
        return tuple(row.one())


async def hold(sessions, store, demand, checkout_id):
    async with transaction(sessions) as session:
        await reserve_stock(
            session,
            store.id,
            checkout_id=checkout_id,
            demand=demand,
            expires_at=utc_now() + timedelta(minutes=5),
        )


async def test_a_hold_is_sold_once(sessions, store):
    variant = await add_variant(sessions, store, on_hand=5)
    await hold(sessions, store, {variant: 3}, 1)
    assert await stock(sessions, variant) == (5, 3, 0)
    for _ in range(2):
        async with transaction(sessions) as session:
            await sell_reserved(session, store.id, checkout_id=1, order_id=1, now=utc_now())
    assert await stock(sessions, variant) == (2, 0, 0)


async def test_a_hold_is_given_back_once_and_can_be_taken_again(sessions, store):
    variant = await add_variant(sessions, store, on_hand=5)
    await hold(sessions, store, {variant: 3}, 1)
    for _ in range(2):
        async with transaction(sessions) as session:
            await release_stock(session, store.id, checkout_id=1)
    assert await stock(sessions, variant) == (5, 0, 0)
    await hold(sessions, store, {variant: 5}, 1)
    assert await stock(sessions, variant) == (5, 5, 0)


async def test_giving_back_twice_leaves_the_holds_of_others(sessions, store):
    variant = await add_variant(sessions, store, on_hand=9)
    await hold(sessions, store, {variant: 3}, 1)
    await hold(sessions, store, {variant: 4}, 2)
    for _ in range(2):
        async with transaction(sessions) as session:
            await release_stock(session, store.id, checkout_id=1)
    assert await stock(sessions, variant) == (9, 4, 0)


async def test_who_waits_for_the_last_unit_finds_it_gone(sessions, store):
    variant = await add_variant(sessions, store, on_hand=1)
    async with sessions() as first:
        await reserve_stock(
            first, store.id, checkout_id=1, demand={variant: 1}, expires_at=utc_now() + timedelta(minutes=5)
        )
        second = asyncio.create_task(hold(sessions, store, {variant: 1}, 2))
        await waiting_for_locks(sessions, 1)
        await first.commit()
    with pytest.raises(Conflict) as refused:
        await second
    assert refused.value.code == "out_of_stock"
    assert await stock(sessions, variant) == (1, 1, 0)


async def test_who_waits_to_buy_the_last_unit_at_once_finds_it_gone(sessions, store):
    variant = await add_variant(sessions, store, on_hand=1)
    async with sessions() as first:
        assert await sell(first, store.id, demand={variant: 1}) == []
        second = asyncio.create_task(_do(sessions, store, partial(sell, demand={variant: 1})))
        await waiting_for_locks(sessions, 1)
        await first.commit()
    assert await second == [variant]
    assert (await stock(sessions, variant))[0] == 0


async def test_stock_rows_are_locked_in_one_order_whatever_the_order_of_the_basket(sessions, store):
    """Somebody holds the first row: who wants both must wait there, and not hold the second one meanwhile."""
    first, second = [await add_variant(sessions, store, on_hand=9) for _ in range(2)]
    basket = {second: 1, first: 1}
    until = utc_now() + timedelta(minutes=5)
    await hold(sessions, store, basket, 2)
    await hold(sessions, store, basket, 3)
    moves = (
        partial(reserve_stock, checkout_id=1, demand=basket, expires_at=until),
        partial(sell, demand=basket),
        partial(sell_reserved, checkout_id=2, order_id=2, now=utc_now()),
        partial(release_stock, checkout_id=3),
    )
    lock = text("SELECT 1 FROM stock_items WHERE variant_id = :id FOR NO KEY UPDATE NOWAIT")
    for move in moves:
        async with sessions() as holder:
            await holder.execute(lock, {"id": first})
            waiting = asyncio.create_task(_do(sessions, store, move))
            await waiting_for_locks(sessions, 1)
            free = True
            try:
                async with sessions() as another:
                    await another.execute(lock, {"id": second})
            except DBAPIError:
                free = False
            await holder.rollback()
        await waiting
        assert free, move.func.__name__


# What is sold by the statement that places its order, without the order.
_SELL = Statement(
    f"WITH asked AS (SELECT), {sold(once='asked')} SELECT ARRAY(SELECT variant_id FROM short) AS short"
)


async def sell(session, store_id, *, demand):
    values = {"store_id": store_id, "order_id": 1, "now": utc_now(), **sold_values(demand)}
    return (await _SELL.one(session, **values))["short"]


async def _do(sessions, store, move):
    async with transaction(sessions) as session:
        return await move(session, store.id)


async def test_all_of_a_demand_or_nothing(sessions, store):
    plenty = await add_variant(sessions, store, on_hand=5)
    scarce = await add_variant(sessions, store, on_hand=1)
    with pytest.raises(Conflict) as refused:
        await hold(sessions, store, {plenty: 2, scarce: 2}, 1)
    assert refused.value.data["items"] == [{"variant_id": scarce}]
    assert await stock(sessions, plenty) == (5, 0, 0)
    async with transaction(sessions) as session:
        assert await sell(session, store.id, demand={plenty: 2, scarce: 2}) == [scarce]
    assert await stock(sessions, plenty) == (5, 0, 0)


async def test_back_orders_go_below_zero_and_untracked_stock_does_not_move(sessions, store):
    later = await add_variant(sessions, store, on_hand=0, policy="continue")
    loose = await add_variant(sessions, store, on_hand=0, tracked=False)
    await hold(sessions, store, {later: 2, loose: 2}, 1)
    async with transaction(sessions) as session:
        await sell_reserved(session, store.id, checkout_id=1, order_id=1, now=utc_now())
    assert await stock(sessions, later) == (-2, 0, None)
    assert await stock(sessions, loose) == (0, 0, 0)


async def test_an_imported_negative_is_its_own_floor(sessions, store):
    variant = await add_variant(sessions, store, on_hand=-3)
    assert await stock(sessions, variant) == (-3, 0, -3)
    with pytest.raises(Conflict):
        await hold(sessions, store, {variant: 1}, 1)


async def test_units_that_come_back_after_a_recount_are_not_sold_again(sessions, store):
    variant = await add_variant(sessions, store, on_hand=5)
    await hold(sessions, store, {variant: 5}, 1)
    async with transaction(sessions) as session:  # a recount finds two, where five are held
        await set_stock(session, store.id, [StockCount(variant, on_hand=2)], now=utc_now())
    async with transaction(sessions) as session:
        await release_stock(session, store.id, checkout_id=1)
    assert await stock(sessions, variant) == (2, 0, 0)
    await hold(sessions, store, {variant: 2}, 2)
    with pytest.raises(Conflict):
        await hold(sessions, store, {variant: 1}, 3)


async def test_what_is_held_is_sold_also_where_a_recount_found_less(sessions, store):
    """Its buyer may have paid by then."""
    variant = await add_variant(sessions, store, on_hand=5)
    await hold(sessions, store, {variant: 4}, 1)
    async with transaction(sessions) as session:
        await set_stock(session, store.id, [StockCount(variant, on_hand=1)], now=utc_now())
    with pytest.raises(Conflict):
        await hold(sessions, store, {variant: 1}, 2)
    async with transaction(sessions) as session:
        await sell_reserved(session, store.id, checkout_id=1, order_id=1, now=utc_now())
    assert await stock(sessions, variant) == (-3, 0, -3)
    with pytest.raises(Conflict):
        await hold(sessions, store, {variant: 1}, 3)


async def test_the_database_refuses_what_the_code_must_not_do(sessions, store):
    variant = await add_variant(sessions, store, on_hand=1)
    for change in ("reserved = -1", "on_hand = -1"):
        async with sessions() as session:
            with pytest.raises(Exception, match="violates check constraint"):
                await session.execute(
                    text(f"UPDATE stock_items SET {change} WHERE variant_id = :id"), {"id": variant}
                )
