"""Repeating a call under the same Idempotency-Key: one effect, the first result again."""

import asyncio
from uuid import uuid4

from sqlalchemy import text

from tests.shop import Guest, add_variant

KEY = "Idempotency-Key"


async def test_a_repeated_add_adds_once(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    body = {"product_id": variant, "quantity": 2, "cart_uuid": guest.cart_uuid}
    key = {KEY: uuid4().hex}
    answers = [await guest.call("POST", "/cart/items", body, **key) for _ in range(3)]
    assert [answer.json()["quantity"] for answer in answers] == [3, 3, 3]
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true", "true"]


async def test_parallel_repeats_of_an_add_make_one_cart(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    key = {KEY: uuid4().hex}
    answers = await asyncio.gather(
        *(guest.call("POST", "/cart/items", {"product_id": variant, "quantity": 1}, **key) for _ in range(8))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["cart_uuid"] for answer in answers}) == 1
    assert {answer.json()["quantity"] for answer in answers} == {1}


async def test_another_body_under_the_same_key_is_refused(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    key = {KEY: uuid4().hex}
    await guest.call("POST", "/cart/items", {"product_id": variant, "quantity": 1}, **key)
    other = await guest.call("POST", "/cart/items", {"product_id": variant, "quantity": 2}, **key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")


async def test_a_refused_call_keeps_no_key(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store, on_hand=1)
    key = {KEY: uuid4().hex}
    refused = await guest.call("POST", "/cart/items", {"product_id": variant, "quantity": 2}, **key)
    assert (refused.status_code, refused.json()["available"]) == (422, 1)
    good = await guest.call("POST", "/cart/items", {"product_id": variant, "quantity": 1}, **key)
    assert good.status_code == 200


async def test_a_key_of_nobody_must_be_long(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    short = await guest.call("POST", "/cart/items", {"product_id": variant, "quantity": 1}, **{KEY: "1"})
    assert (short.status_code, short.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_paying_twice_under_one_key_charges_once(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store, on_hand=5)
    checkout = await guest.prepare(variant)
    total = checkout["totals"]["total"]
    key = {KEY: uuid4().hex}
    first = await guest.pay(total, **key)
    second = await guest.pay(total, **key)
    assert (first.status_code, second.status_code) == (204, 204)
    assert first.headers["location"] == second.headers["location"]
    async with sessions() as session:
        charges = await session.scalar(
            text("SELECT count(*) FROM payments WHERE store_id = :id"), {"id": guest.store.id}
        )
    assert charges == 1


async def test_a_declined_payment_is_declined_again_under_its_key_and_pays_under_another(
    guest: Guest, sessions
):
    variant = await add_variant(sessions, guest.store)
    checkout = await guest.prepare(variant)
    total = checkout["totals"]["total"]
    key = {KEY: uuid4().hex}
    for _ in range(2):
        declined = await guest.pay(total, payment_token="decline", **key)
        assert declined.status_code == 402
    async with sessions() as session:
        attempts = await session.scalar(
            text("SELECT count(*) FROM payments WHERE store_id = :id"), {"id": guest.store.id}
        )
    assert attempts == 1
    assert (await guest.pay(total, **{KEY: uuid4().hex})).status_code == 204
