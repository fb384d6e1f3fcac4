"""How many SQL statements the hot calls send, BEGIN and COMMIT included: constant, whatever is in the cart."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest
from sqlalchemy import Engine, event

from app.db.bell import Bell
from app.db.reads import Reads
from app.db.shop_session import shop_session
from app.db.statements import Statement
from app.db.versions import Versions
from app.domain.stores import directory
from tests.shop import ADDRESS, Guest, add_promotion, add_variant


async def known_version(*_: object) -> int:
    return 1


async def nobody_told(_: Bell) -> None:
    pass


@pytest.fixture
def counted(monkeypatch):
    """A context that counts the statements of everything that runs in this process meanwhile."""
    # What a store is set to, and how often it changed, is asked once a second at most and not counted here.
    monkeypatch.setattr(directory, "FRESH_SECONDS", 3600)
    monkeypatch.setattr(Versions, "get", known_version)
    # Nor is what the bell rings for afterwards, perhaps for the test before this one: its connection may be asked
    # whether it is still there.
    monkeypatch.setattr(Bell, "_tell", nobody_told)
    seen: list[str] = []
    original = Reads._run

    async def reading(self, call):
        seen.append("read")
        return await original(self, call)

    monkeypatch.setattr(Reads, "_run", reading)
    send = Statement.rows

    async def sending(self, session, **values):
        seen.append(self._sql)
        return await send(self, session, **values)

    monkeypatch.setattr(Statement, "rows", sending)
    send_last = Statement.last

    async def sending_last(self, session, **values):
        if not shop_session(session).has_begun():  # else it goes the way of the others
            seen.append(self._sql)
        return await send_last(self, session, **values)

    monkeypatch.setattr(Statement, "last", sending_last)
    # BEGIN and COMMIT come from the ORM, or straight from a session that sleeps.
    execute = asyncpg.Connection.execute

    async def executing(self, sql, *values, **options):
        seen.append(sql)
        return await execute(self, sql, *values, **options)

    monkeypatch.setattr(asyncpg.Connection, "execute", executing)

    @contextmanager
    def counting() -> Iterator[list[str]]:
        def statement(conn, cursor, sql, parameters, context, executemany):
            seen.extend([sql] * (len(parameters) if executemany else 1))

        event.listen(Engine, "before_cursor_execute", statement)
        seen.clear()
        try:
            yield seen
        finally:
            event.remove(Engine, "before_cursor_execute", statement)

    return counting


async def filled(guest: Guest, sessions, lines: int) -> None:
    for _ in range(lines):
        await guest.add(await add_variant(sessions, guest.store))
    # From here on the store is known.
    await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")


@pytest.mark.parametrize("lines", [1, 20])
async def test_adding_to_a_cart_takes_5_statements_and_reading_it_1(guest: Guest, sessions, counted, lines):
    await filled(guest, sessions, lines)
    variant = await add_variant(sessions, guest.store)
    with counted() as adding:
        assert (await guest.add(variant)).status_code == 200
    assert len(adding) == 5, adding
    with counted() as reading:
        assert (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).status_code == 200
    assert len(reading) == 1, reading


async def test_a_new_cart_with_its_first_line_takes_2_statements(guest: Guest, sessions, counted):
    await filled(guest, sessions, 1)
    guest.cart_uuid = ""
    variant = await add_variant(sessions, guest.store)
    with counted() as adding:
        assert (await guest.add(variant)).status_code == 200
    assert len(adding) == 2, adding


@pytest.mark.parametrize("lines", [1, 20])
async def test_a_guest_checkout_from_cart_to_order_takes_13_statements(
    guest: Guest, sessions, counted, lines
):
    await filled(guest, sessions, lines)
    variant = await add_variant(sessions, guest.store)
    with counted() as seen:
        await guest.add(variant)
        await guest.open_checkout()
        await guest.call(
            "PUT", f"/checkout/{guest.token}/customer", {"email": guest.email, "shipping_address": ADDRESS}
        )
        checkout = (
            await guest.call(
                "PUT", f"/checkout/{guest.token}/shipping", {"shipping_option_id": guest.option_id}
            )
        ).json()
        paid = await guest.pay(checkout["totals"]["total"], service="manual")
        assert paid.status_code == 204, paid.text
    # To a cart that is there 5, else 2; and of each of the four steps a look and what it writes.
    assert len(seen) == 13, (len(seen), seen)


@pytest.mark.parametrize(("lines", "promotions"), [(1, 1), (20, 1), (20, 30)])
async def test_promotions_cost_two_statements_more_however_many_there_are(
    guest: Guest,
    sessions,
    counted,
    lines,
    promotions,
):
    gift = await add_variant(sessions, guest.store)
    for _ in range(promotions):
        await add_promotion(sessions, guest.store, value=100)
    await add_promotion(sessions, guest.store, "SAVE10")
    await add_promotion(sessions, guest.store, kind="gift", value=0, gift_variant_id=gift)
    for _ in range(lines):
        await guest.add(await add_variant(sessions, guest.store))
    await guest.call("POST", "/cart/coupon", {"cart_uuid": guest.cart_uuid, "code": "SAVE10"})
    variant = await add_variant(sessions, guest.store)
    with counted() as adding:
        assert (await guest.add(variant)).status_code == 200
    assert len(adding) == 5 + 3, adding
    with counted() as reading:
        cart = await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")
    assert len(cart.json()["discounts"]) == promotions + 2
    assert len(reading) == 1 + 2, reading
    with counted() as seen:
        await guest.open_checkout()
        body = {"email": guest.email, "shipping_address": ADDRESS}
        await guest.call("PUT", f"/checkout/{guest.token}/customer", body)
        chosen = {"shipping_option_id": guest.option_id}
        checkout = (await guest.call("PUT", f"/checkout/{guest.token}/shipping", chosen)).json()
        assert (await guest.pay(checkout["totals"]["total"], service="manual")).status_code == 204
    assert len(seen) == 30, (len(seen), seen)
