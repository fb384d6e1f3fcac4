"""What is sent straight to the driver belongs to its session: transaction, errors, and the objects that it knows."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.db.session import transaction
from app.db.statements import Load, Statement, adopt, write_changed
from app.domain.carts.models import Cart
from app.kit.clock import utc_now

CODE = Statement("SELECT CAST(:code AS text)::varchar AS code, :code || ':twice' AS again, '12:30' AS at")
INSERT = Statement(
    "INSERT INTO carts (store_id, uuid, currency, updated_at, expires_at) "
    "VALUES (:store_id, :uuid, 'USD', :now, :now) RETURNING id, created_at"
)
FIND = Load(Cart, "store_id = :store_id AND uuid = :uuid")
COUNT = Statement("SELECT count(*) AS found FROM carts WHERE store_id = :store_id")


async def test_names_become_numbers_and_casts_and_texts_stay(sessions):
    async with sessions() as session:
        found = await CODE.one(session, code="a", unknown=1)
    assert dict(found) == {"code": "a", "again": "a:twice", "at": "12:30"}


async def test_the_first_statement_of_a_session_is_rolled_back_with_it(sessions, store):
    wanted = {"store_id": store.id, "uuid": uuid4(), "now": utc_now()}
    async with sessions() as session:
        await INSERT.one(session, **wanted)
    async with sessions() as session:
        assert (await COUNT.one(session, store_id=store.id))["found"] == 0
        await INSERT.one(session, **wanted)
        await session.commit()
        assert (await COUNT.one(session, store_id=store.id))["found"] == 1


async def test_what_fails_fails_as_in_the_session(sessions, store):
    wanted = {"store_id": store.id, "uuid": uuid4(), "now": utc_now()}
    async with sessions() as session:
        await INSERT.one(session, **wanted)
        with pytest.raises(IntegrityError) as refused:
            await INSERT.one(session, **wanted)
        assert refused.value.orig.sqlstate == "23505"
        assert str(wanted["uuid"]) not in str(refused.value), "what shoppers sent stays out of logs"
        await session.rollback()
        assert await INSERT.row(session, **wanted) is not None
        with pytest.raises(DBAPIError):
            await COUNT.row(session, store_id="no number")


async def test_a_call_that_is_broken_off_leaves_no_connection_behind_that_nobody_knows(sessions):
    waits = Statement("SELECT pg_sleep(60) AS slept")
    async with sessions() as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await waits.row(session)
        assert (await session.connection()).invalidated


async def test_an_object_of_a_row_is_what_the_session_would_have_loaded(sessions, store):
    now, uuid = utc_now(), uuid4()
    async with transaction(sessions) as session:
        made = await INSERT.one(session, store_id=store.id, uuid=uuid, now=now)
        cart = Cart(
            id=made["id"],
            created_at=made["created_at"],
            store_id=store.id,
            uuid=uuid,
            currency="USD",
            attributes=[],
            updated_at=now,
            expires_at=now,
        )
        adopt(session, cart)
        cart.note = "Ring twice."
    async with transaction(sessions) as session:
        found = await FIND.first(session, store_id=store.id, uuid=uuid)
        assert (found.id, found.note, found.attributes) == (made["id"], "Ring twice.", [])
        assert await session.get(Cart, found.id) is found
        found.attributes = [{"name": "gift", "value": "yes"}]
        found.note = "not to be written"
        await session.execute(text("UPDATE carts SET note = 'Knock.' WHERE id = :id"), {"id": found.id})
        again = await FIND.first(session, store_id=store.id, uuid=uuid)
        assert again is found
        assert (again.note, again.attributes) == ("Knock.", [])
        again.coupon_code, again.attributes = "TEN", [{"name": "wrap", "value": "no"}]
        await write_changed(session, again)
        assert again not in session.dirty
        again.note = "Knock."  # as it is
        await write_changed(session, again)
        assert await FIND.first(session, store_id=store.id, uuid=uuid4()) is None
    async with sessions() as session:
        last = await FIND.first(session, store_id=store.id, uuid=uuid)
        assert (last.note, last.coupon_code, last.attributes) == (
            "Knock.",
            "TEN",
            [{"name": "wrap", "value": "no"}],
        )
