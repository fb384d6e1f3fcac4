"""A row that is changed by one statement is only looked at before: nothing is lost, whoever comes between."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.db.retries import OvertakenError, run_transaction
from app.db.session import transaction
from app.db.shop_session import shop_session
from app.db.statements import Statement, begin_together, lock_looked_at, version_of, write_changed
from app.domain.checkout.locking import take_with_cart
from app.kit.clock import utc_now
from tests.shop import config_of, waiting_for_locks

BEGIN = text(
    """
    WITH cart AS (
        INSERT INTO carts (store_id, uuid, currency, updated_at, expires_at)
        VALUES (:store_id, :uuid, 'USD', :now, :now) RETURNING id
    )
    INSERT INTO checkouts (store_id, token, cart_id, state, currency, updated_at, expires_at)
    SELECT :store_id, :token, cart.id, 'open', 'USD', :now, :now FROM cart RETURNING id
    """
)
READ = text("SELECT email, identity FROM checkouts WHERE id = :id")
NAME = text("UPDATE checkouts SET identity = 'another page' WHERE id = :id")
HOLD = text("SELECT FROM checkouts WHERE id = :id FOR UPDATE")
END = text("SELECT pg_terminate_backend(:pid, 5000)")
ADD = Statement(
    "INSERT INTO carts (store_id, uuid, currency, updated_at, expires_at) VALUES (:store_id, :uuid, 'USD', now(), now()) RETURNING id"
)


@pytest.fixture
async def begun(sessions, store):
    token = uuid4().hex
    async with transaction(sessions) as session:
        values = {"store_id": store.id, "uuid": uuid4(), "token": token, "now": utc_now()}
        return token, {"id": await session.scalar(BEGIN, values)}


async def read(sessions, ids) -> tuple[str | None, str | None]:
    async with sessions() as session:
        return tuple((await session.execute(READ, ids)).one())


async def test_what_is_looked_at_is_written_without_begin_and_commit(sessions, store, begun, monkeypatch):
    token, ids = begun
    async with sessions() as session:
        checkout, _ = await take_with_cart(session, config_of(store), token)
        assert version_of(session, checkout) is not None
        assert not shop_session(session).has_begun()
        checkout.email = "ada@example.com"
        await write_changed(session, checkout)
        assert await read(sessions, ids) == ("ada@example.com", None), "without any commit"


async def test_who_comes_between_the_look_and_the_writing_is_not_written_over(sessions, store, begun):
    token, ids = begun
    locked = []

    async def work(session):
        checkout, _ = await take_with_cart(session, config_of(store), token)
        locked.append(version_of(session, checkout) is None)
        if len(locked) == 1:
            async with transaction(sessions) as between:
                await between.execute(NAME, ids)
        checkout.email = f"{checkout.identity or 'nobody'}@example.com"
        await write_changed(session, checkout)

    await run_transaction(sessions, work, repeatable=False)
    assert await read(sessions, ids) == ("another page@example.com", "another page")
    assert locked == [False, True], "the second time nobody can come between"


async def test_who_holds_the_row_while_it_is_written_is_waited_for(sessions, store, begun):
    token, ids = begun
    tries = []

    async def work(session):
        checkout, _ = await take_with_cart(session, config_of(store), token)
        tries.append(checkout.identity)
        if len(tries) == 1:
            await holder.execute(HOLD, ids)
        checkout.email = "ada@example.com"
        await write_changed(session, checkout)

    async with sessions() as holder:
        writing = asyncio.create_task(run_transaction(sessions, work, repeatable=False))
        await waiting_for_locks(sessions, 1)
        await holder.execute(NAME, ids)
        await holder.commit()
    await writing
    assert tries == [None, "another page"]
    assert await read(sessions, ids) == ("ada@example.com", "another page")


async def test_what_was_looked_at_can_be_locked_as_long_as_it_is_the_same(sessions, store, begun):
    token, ids = begun
    async with sessions() as session:
        checkout, _ = await take_with_cart(session, config_of(store), token)
        await lock_looked_at(session, checkout)
        assert version_of(session, checkout) is None
        checkout.email = "ada@example.com"
        await session.commit()
    assert await read(sessions, ids) == ("ada@example.com", None), "like any other object of the session"
    async with sessions() as session, sessions() as holder:
        checkout, _ = await take_with_cart(session, config_of(store), token)
        await holder.execute(HOLD, ids)
        with pytest.raises(OvertakenError):
            await lock_looked_at(session, checkout)
    async with sessions() as session:
        checkout, _ = await take_with_cart(session, config_of(store), token)
        async with transaction(sessions) as between:
            await between.execute(NAME, ids)
        with pytest.raises(OvertakenError):
            await lock_looked_at(session, checkout)


async def test_a_change_that_nobody_writes_is_a_mistake_and_not_lost_in_silence(sessions, store, begun):
    async def work(session):
        checkout, _ = await take_with_cart(session, config_of(store), begun[0])
        checkout.email = "ada@example.com"

    with pytest.raises(ValueError, match="not written"):
        await run_transaction(sessions, work, repeatable=False)


@pytest.mark.parametrize("awake", [False, True])
async def test_in_a_transaction_that_has_begun_the_last_statement_waits_for_the_commit(
    sessions, store, awake
):
    uuid = uuid4()
    count = text("SELECT count(*) FROM carts WHERE uuid = :uuid")
    async with sessions() as session:
        if awake:
            await session.execute(text("SELECT 1"))
        else:
            await begin_together(session)
        assert await ADD.last(session, store_id=store.id, uuid=uuid) is not None
        async with sessions() as other:
            assert await other.scalar(count, {"uuid": uuid}) == 0
        await session.rollback()
    async with sessions() as session:
        assert await session.scalar(count, {"uuid": uuid}) == 0


async def test_what_was_never_sent_is_run_again_and_not_called_unknown(sessions, store, begun):
    token, ids = begun
    tries = []

    async def work(session):
        checkout, _ = await take_with_cart(session, config_of(store), token)
        tries.append(checkout.identity)
        if len(tries) == 1:
            driver, gone = await shop_session(session).lease_driver(), asyncio.Event()
            driver.add_termination_listener(lambda _: gone.set())
            async with sessions() as other:
                await other.execute(END, {"pid": driver.get_server_pid()})
            await gone.wait()
        checkout.email = "ada@example.com"
        await write_changed(session, checkout)

    await run_transaction(sessions, work, repeatable=False)
    assert len(tries) == 2
    assert await read(sessions, ids) == ("ada@example.com", None)
