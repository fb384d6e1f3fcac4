"""What is sent straight to the driver belongs to its session: transaction, errors, and the objects that it knows."""

import asyncio
import subprocess
import sys
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.db.session import create_engine, create_sessions, transaction
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


@pytest.fixture
async def watched(database_url):
    """Sessions of an engine of their own, which asserts that no connection is kept, and what they committed."""
    engine = create_engine(database_url, pool_size=2)
    told: list[object] = []
    yield create_sessions(engine, committed=told.append), told
    assert engine.pool.checkedout() == 0
    await engine.dispose()


async def test_a_session_sleeps_through_statements_and_loaded_rows_and_writes_what_was_changed(
    watched, store
):
    sessions, told = watched
    uuid = uuid4()
    async with transaction(sessions) as session:
        await INSERT.one(session, store_id=store.id, uuid=uuid, now=utc_now())
        cart = await FIND.first(session, store_id=store.id, uuid=uuid)
        cart.note = "Ring twice."
        await write_changed(session, cart)
        assert await FIND.first(session, store_id=store.id, uuid=uuid) is cart
        assert session.sleeps
        await session.commit()
        assert not session.in_transaction(), "its connection is another's"
    assert (cart.note, session.sleeps, told) == ("Ring twice.", True, [session])
    async with transaction(sessions) as session:
        cart = await FIND.first(session, store_id=store.id, uuid=uuid)
        cart.note = "Knock."
    assert len(told) == 2
    async with transaction(sessions) as session:
        assert (await FIND.first(session, store_id=store.id, uuid=uuid)).note == "Knock."


async def test_whoever_wakes_the_orm_finds_the_same_transaction_and_the_same_objects(watched, store):
    sessions, told = watched
    uuid = uuid4()
    async with sessions() as session:
        await INSERT.one(session, store_id=store.id, uuid=uuid, now=utc_now())
        cart = await FIND.first(session, store_id=store.id, uuid=uuid)
        cart.note = "Ring twice."
        assert await session.get(Cart, cart.id) is cart, "the ORM knows what was loaded while it slept"
        assert cart in session.dirty
        await session.flush()
        async with session.begin_nested() as savepoint:
            taken_back = uuid4()
            await INSERT.one(session, store_id=store.id, uuid=taken_back, now=utc_now())
            await savepoint.rollback()
        assert await FIND.first(session, store_id=store.id, uuid=taken_back) is None
        await session.commit()
        assert len(told) == 1
        assert (await session.scalars(select(Cart.note).where(Cart.uuid == uuid))).all() == ["Ring twice."]
        await session.rollback()
    async with sessions() as session:
        cart = await FIND.first(session, store_id=store.id, uuid=uuid)
        cart.note = "not to be written"
        await session.rollback()
        assert (await FIND.first(session, store_id=store.id, uuid=uuid)).note == "Ring twice."
    assert len(told) == 1


async def test_a_session_that_is_dropped_or_broken_off_holds_no_connection(watched, store):
    sessions, told = watched
    wanted = {"store_id": store.id, "uuid": uuid4(), "now": utc_now()}
    for end in ("close", "invalidate"):
        session = sessions()
        await INSERT.one(session, **wanted)
        assert session.in_transaction()
        await getattr(session, end)()
        assert not session.in_transaction()
    async with sessions() as session:
        assert await FIND.first(session, store_id=store.id, uuid=wanted["uuid"]) is None
    assert told == []


def test_a_process_that_has_not_used_the_orm_yet_makes_objects_of_rows():
    program = (
        "from app.db.statements import row_of; from app.domain.carts.models import Cart; "
        "cart = row_of(Cart, {'id': 1, 'note': 'Knock.'}); cart.note += '!'; print(cart.note)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "Knock.!\n"
