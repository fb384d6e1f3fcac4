"""An order that nobody has to be asked for is placed by one statement: all of it, or nothing."""

import asyncio
from typing import Any

from sqlalchemy import text

from app.db.session import Sessions, transaction
from app.domain.checkout import placing
from tests.api.test_checkout_flow import stock_of
from tests.shop import Guest, add_gift_card, add_variant, waiting_for_locks

HOLD_STOCK = text("SELECT FROM stock_items WHERE variant_id = :id FOR NO KEY UPDATE")


def look_away(*_: Any) -> None:
    """In the place of the look at the stock that spares most of those who are too late the rest."""


async def lines_of(guest: Guest) -> dict[int, int]:
    cart = (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()
    return {line["variant_id"]: line["quantity"] for line in cart["items"]}


async def buy(guest: Guest, variant: int, quantity: int = 1) -> Any:
    checkout = await guest.prepare(variant, quantity)
    return await guest.pay(checkout["totals"]["total"], service="manual")


async def order_of(guest: Guest, paid: Any) -> dict[str, Any]:
    assert paid.status_code == 204, paid.text
    order: dict[str, Any] = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
    return order


async def test_too_little_of_one_thing_leaves_everything_as_it_was(
    guest: Guest, sessions: Sessions, monkeypatch
):
    monkeypatch.setattr(placing, "check_stock", look_away)
    plenty = await add_variant(sessions, guest.store, on_hand=9)
    scarce = await add_variant(sessions, guest.store, on_hand=2)
    await guest.add(plenty)
    checkout = await guest.prepare(scarce, 2)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE stock_items SET on_hand = 1 WHERE variant_id = :id"), {"id": scarce}
        )
    refused = await guest.pay(checkout["totals"]["total"], service="manual")
    assert (refused.status_code, refused.json()["code"]) == (409, "out_of_stock")
    assert [item["variant_id"] for item in refused.json()["items"]] == [scarce]
    assert await stock_of(sessions, plenty) == (9, 0)
    assert await stock_of(sessions, scarce) == (1, 0)
    assert await lines_of(guest) == {plenty: 1, scarce: 2}
    async with sessions() as session:
        for table in ("orders", "payments", "ledger_transactions", "stock_movements", "jobs"):
            found = await session.scalar(
                text(
                    f"SELECT count(*) FROM {table} WHERE store_id = :id AND to_jsonb({table})->>'kind' IS DISTINCT FROM 'stocked'"
                ),
                {"id": guest.store.id},
            )
            assert found == 0, table
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE stock_items SET on_hand = 2 WHERE variant_id = :id"), {"id": scarce}
        )
    order = await order_of(guest, await guest.pay(checkout["totals"]["total"], service="manual"))
    assert order["number"] == "#1001", "no number was drawn in vain"
    assert await lines_of(guest) == {}


async def test_what_is_put_into_the_cart_while_it_is_bought_stays_there(guest: Guest, sessions: Sessions):
    """Somebody has the stock: the purchase waits behind them, and has looked at the cart before."""
    variant, another = [await add_variant(sessions, guest.store, on_hand=9) for _ in range(2)]
    checkout = await guest.prepare(variant, 2)
    async with sessions() as holder:
        await holder.execute(HOLD_STOCK, {"id": variant})
        paying = asyncio.create_task(guest.pay(checkout["totals"]["total"], service="manual"))
        await waiting_for_locks(sessions, 1)
        await guest.add(variant, 3)
        await guest.add(another)
        await holder.rollback()
    order = await order_of(guest, await paying)
    assert [line["quantity"] for line in order["items"]] == [2]
    assert await lines_of(guest) == {variant: 3, another: 1}


async def test_an_order_that_is_there_already_is_never_made_again(guest: Guest, sessions: Sessions):
    """Whatever lets a second one through: the key of the order takes all of it back."""
    variant = await add_variant(sessions, guest.store, on_hand=9)
    order = await order_of(guest, await buy(guest, variant))
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE checkouts SET state = 'priced', order_id = NULL WHERE token = :token"),
            {"token": guest.token},
        )
    await guest.add(variant)
    again = await guest.pay(order["total_price"], service="manual")
    assert again.status_code >= 400
    assert await stock_of(sessions, variant) == (8, 0)
    assert await lines_of(guest) == {variant: 1}


async def test_what_a_card_was_to_pay_stays_on_it_where_stock_ran_out(guest: Guest, sessions, monkeypatch):
    monkeypatch.setattr(placing, "check_stock", look_away)
    variant = await add_variant(sessions, guest.store, on_hand=1)
    checkout = await guest.prepare(variant)
    code, card = await add_gift_card(sessions, guest.store, checkout["totals"]["total"])
    assert (await guest.call("PUT", f"/checkout/{guest.token}/gift-card", {"code": code})).status_code == 200
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE stock_items SET on_hand = 0 WHERE variant_id = :id"), {"id": variant}
        )
    refused = await guest.pay(0, service="gift_card")
    assert (refused.status_code, refused.json()["code"]) == (409, "out_of_stock"), refused.text
    async with sessions() as session:
        left = await session.execute(
            text("SELECT balance, held FROM gift_cards WHERE id = :id"), {"id": card}
        )
        assert tuple(left.one()) == (checkout["totals"]["total"], 0)


async def test_what_has_an_order_that_is_over_sells_nothing(guest: Guest, sessions: Sessions):
    """An attempt to pay has left an order behind, and it is not to be placed any more."""
    variant = await add_variant(sessions, guest.store, on_hand=9)
    checkout = await guest.prepare(variant)
    assert (await guest.pay(checkout["totals"]["total"], payment_token="decline")).status_code == 402
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE orders SET status = 'cancelled' WHERE store_id = :id"), {"id": guest.store.id}
        )
    refused = await guest.pay(checkout["totals"]["total"], service="manual")
    assert refused.status_code >= 400
    assert await stock_of(sessions, variant) == (9, 0)
    assert await lines_of(guest) == {variant: 1}


async def test_who_buys_with_a_note_and_who_changes_the_cart_take_the_cart_before_its_lines(
    guest: Guest, sessions: Sessions
):
    variant = await add_variant(sessions, guest.store, on_hand=9)
    checkout = await guest.prepare(variant)
    noted = await guest.call("PUT", "/cart", {"cart_uuid": guest.cart_uuid, "note": "Ring twice."})
    assert noted.status_code == 200
    which = {"uuid": guest.cart_uuid}
    async with sessions() as holder:
        found = await holder.execute(text("SELECT id FROM carts WHERE uuid = :uuid FOR UPDATE"), which)
        cart = {"id": found.scalar_one()}
        paying = asyncio.create_task(guest.pay(checkout["totals"]["total"], service="manual"))
        await waiting_for_locks(sessions, 1)
        await holder.execute(text("SELECT FROM cart_lines WHERE cart_id = :id FOR UPDATE NOWAIT"), cart)
        await holder.rollback()
    await order_of(guest, await paying)
