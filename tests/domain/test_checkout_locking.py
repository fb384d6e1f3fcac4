"""A checkout is locked and its cart read in one statement; what is read is never older than the lock."""

import asyncio
from copy import copy
from uuid import uuid4

from sqlalchemy import text

from app.db.session import transaction
from app.db.statements import begin_together
from app.domain.checkout import locking
from app.domain.checkout.locking import take_to_buy, take_with_cart
from app.kit.clock import utc_now
from tests.shop import config_of, waiting_for_locks

_BEGIN = text(
    """
    WITH cart AS (
        INSERT INTO carts (store_id, uuid, currency, note, updated_at, expires_at)
        VALUES (:store_id, :uuid, 'USD', 'before', :now, :now) RETURNING id
    )
    INSERT INTO checkouts (store_id, token, cart_id, state, currency, updated_at, expires_at)
    SELECT :store_id, :token, cart.id, 'open', 'USD', :now, :now FROM cart RETURNING cart_id
    """
)
_WRITE = text("UPDATE carts SET note = 'after' WHERE id = :cart_id")
_TOUCH = text("UPDATE checkouts SET email = 'ada@example.com' WHERE cart_id = :cart_id")
_HOLD = text("SELECT FROM checkouts WHERE cart_id = :cart_id FOR UPDATE")


async def begin(sessions, store, token: str) -> dict[str, int]:
    values = {"store_id": store.id, "uuid": uuid4(), "token": token, "now": utc_now()}
    async with transaction(sessions) as session:
        return {"cart_id": await session.scalar(_BEGIN, values)}


async def seen(sessions, store, token: str) -> tuple[str | None, str | None]:
    async with sessions() as session:
        await begin_together(session)
        checkout, cart = await take_with_cart(session, config_of(store), token)
        return checkout.email, cart.note


async def test_who_waits_for_a_checkout_sees_its_cart_as_it_is_when_the_wait_is_over(sessions, store):
    ids = await begin(sessions, store, "waits")
    async with sessions() as holder:
        await holder.execute(_HOLD, ids)
        looking = asyncio.create_task(seen(sessions, store, "waits"))
        await waiting_for_locks(sessions, 1)
        await holder.execute(_WRITE, ids)
        await holder.commit()
    assert await looking == (None, "after")


async def test_what_changed_between_the_look_and_the_lock_is_looked_at_again(sessions, store, monkeypatch):
    ids = await begin(sessions, store, "slow")
    # The statement has begun to look, and pauses before it locks.
    slow = copy(locking._LOCK)
    slow._sql = slow._sql.replace(
        "FROM checkouts k", "FROM checkouts k CROSS JOIN pg_advisory_xact_lock(6437) w"
    )
    assert slow._sql != locking._LOCK._sql
    monkeypatch.setattr(locking, "_LOCK", slow)
    async with sessions() as pause, transaction(sessions) as meanwhile:
        await pause.execute(text("SELECT pg_advisory_xact_lock(6437)"))
        looking = asyncio.create_task(seen(sessions, store, "slow"))
        await waiting_for_locks(sessions, 1)
        await meanwhile.execute(_WRITE, ids)
        await meanwhile.execute(_TOUCH, ids)
        await meanwhile.commit()
        await pause.rollback()
    assert await looking == ("ada@example.com", "after")


async def test_an_order_has_an_id_before_its_row_and_keeps_it(sessions, store):
    ids = await begin(sessions, store, "ids")
    async with sessions() as session:
        drawn = (await take_to_buy(session, config_of(store), "ids", at_once=False)).order_id
    async with transaction(sessions) as session:
        assert (await take_to_buy(session, config_of(store), "ids", at_once=False)).order_id > drawn
        await session.execute(text("UPDATE checkouts SET order_id = 7 WHERE cart_id = :cart_id"), ids)
    async with sessions() as session:
        assert (await take_to_buy(session, config_of(store), "ids", at_once=False)).order_id == 7
