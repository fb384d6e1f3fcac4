"""The cart over HTTP: what adds up, what is bounded, and whose it is."""

import asyncio

import pytest
from sqlalchemy import text

from tests.shop import Guest, add_variant, agree_to


async def read(guest: Guest, uuid: str | None = None):
    return await guest.call("GET", f"/cart?cart_uuid={uuid or guest.cart_uuid}")


async def test_the_same_variant_adds_up_on_one_line(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store, price=1250)
    await guest.add(variant, 2)
    line = (await guest.add(variant, 3)).json()
    assert (line["quantity"], line["line_price"]) == (5, 6250)
    cart = (await read(guest)).json()
    assert (cart["item_count"], cart["total_price"], len(cart["items"])) == (5, 6250, 1)
    assert cart["currency"] == "USD"


async def test_without_a_uuid_the_cart_is_empty_and_nothing_is_written(guest: Guest, sessions):
    answer = await guest.call("GET", "/cart")
    assert (answer.json()["token"], answer.json()["items"]) == (None, [])
    async with sessions() as session:
        made = await session.scalar(
            text("SELECT count(*) FROM carts WHERE store_id = :id"), {"id": guest.store.id}
        )
    assert made == 0


@pytest.mark.parametrize("uuid", ["c71c63d5-5fdf-4ed4-93ea-f5e1f14a3fac", "nonsense"])
async def test_an_unknown_uuid_is_not_found_when_read_and_a_new_cart_when_added_to(
    guest: Guest, sessions, uuid
):
    assert (await read(guest, uuid)).json()["code"] == "cart_not_found"
    guest.cart_uuid = uuid
    added = await guest.add(await add_variant(sessions, guest.store))
    assert added.status_code == 200
    assert added.json()["cart_uuid"] != uuid


@pytest.mark.parametrize("quantity", [0, -1, 1.5, True, "2", 1000, 10**30, None])
async def test_a_quantity_is_a_whole_number_from_1_to_999(guest: Guest, sessions, quantity):
    variant = await add_variant(sessions, guest.store, tracked=False)
    answer = await guest.add(variant, quantity)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "quantity")


async def test_a_line_holds_at_most_999(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store, tracked=False)
    await guest.add(variant, 999)
    over = await guest.add(variant, 1)
    assert (over.status_code, over.json()["code"]) == (422, "quantity_too_large")
    assert (await read(guest)).json()["item_count"] == 999


async def test_more_than_there_is_is_refused_with_what_is_left(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store, on_hand=3)
    await guest.add(variant, 2)
    over = await guest.add(variant, 2)
    assert (over.status_code, over.json()["code"], over.json()["available"]) == (422, "not_enough_stock", 3)
    assert (await read(guest)).json()["item_count"] == 2


async def test_what_is_on_back_order_or_not_tracked_is_never_sold_out(guest: Guest, sessions):
    for variant in (
        await add_variant(sessions, guest.store, on_hand=0, policy="continue"),
        await add_variant(sessions, guest.store, on_hand=0, tracked=False),
    ):
        assert (await guest.add(variant, 7)).status_code == 200


async def test_a_quantity_is_set_and_zero_removes(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant, 2)
    body = {"product_id": variant, "cart_uuid": guest.cart_uuid}
    assert (await guest.call("PUT", "/cart/items", {**body, "quantity": 4})).json()["quantity"] == 4
    assert (await guest.call("PUT", "/cart/items", {**body, "quantity": 0})).status_code == 204
    assert (await read(guest)).json()["items"] == []


async def test_removing_twice_is_fine(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    path = f"/cart/items?product_id={variant}&cart_uuid={guest.cart_uuid}"
    assert [(await guest.call("DELETE", path)).status_code for _ in range(2)] == [204, 204]
    assert (await read(guest)).json()["items"] == []


async def test_parallel_adds_lose_nothing(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store, on_hand=100)
    await guest.add(variant)
    answers = await asyncio.gather(*(guest.add(variant) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert (await read(guest)).json()["item_count"] == 21


async def test_what_left_the_sale_stays_visible_and_blocks_the_checkout(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    async with sessions() as session:
        await session.execute(
            text("UPDATE products SET status = 'draft' WHERE store_id = :id"), {"id": guest.store.id}
        )
        await session.commit()
    (line,) = (await read(guest)).json()["items"]
    assert line["available"] is False
    refused = await guest.call("POST", "/checkout", {"cart_uuid": guest.cart_uuid})
    assert (refused.status_code, refused.json()["code"]) == (422, "items_unavailable")
    assert refused.json()["items"] == [{"variant_id": variant}]


async def test_another_stores_variant_and_cart_do_not_exist_here(guest: Guest, sessions, client):
    from tests.conftest import make_store
    from tests.shop import open_till

    other_store = await make_store(sessions)
    other = Guest(client, other_store, await open_till(sessions, other_store))
    theirs = await add_variant(sessions, other_store)
    await other.add(theirs)
    refused = await guest.add(theirs)
    assert (refused.status_code, refused.json()["code"]) == (422, "variant_not_found")
    assert (await read(guest, other.cart_uuid)).status_code == 404


async def test_one_open_checkout_a_cart_also_for_two_at_once(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    answers = await asyncio.gather(
        *(guest.call("POST", "/checkout", {"cart_uuid": guest.cart_uuid}) for _ in range(8))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["checkout_token"] for answer in answers}) == 1


async def test_the_cart_may_change_while_paying_and_the_order_does_not(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store, price=1000, on_hand=10)
    checkout = await guest.prepare(variant)
    asked = await guest.pay(checkout["totals"]["total"], payment_token="second_step")
    assert asked.status_code == 402
    await guest.add(variant, 4)
    await agree_to(sessions, asked.json()["next_step_url"])
    done = await guest.call("POST", f"/checkout/{guest.token}/payment/test/confirm", {})
    order = (await guest.read_order(done.json()["order"]["id"])).json()
    assert [line["quantity"] for line in order["items"]] == [1]
    assert order["total_price"] == 1500
    assert (await read(guest)).json()["item_count"] == 4
