"""Repeating a call under the same Idempotency-Key: one effect, the first result again."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.idempotency import IN_PROGRESS, Key, claim, keep
from app.domain.checkout.till import CALL_IS_OVER_SECONDS, Till
from app.domain.payments.models import Payment
from app.kit.clock import utc_now
from app.kit.errors import Conflict
from app.main import build_shop, close_shop
from tests.shop import Guest, add_variant, settings_for

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


async def test_a_repeat_gives_a_browser_the_cookie_of_its_cart_again(guest: Guest, sessions):
    """The first answer may be the one that never arrived."""
    variant = await add_variant(sessions, guest.store)
    sent = {KEY: uuid4().hex, "X-Session": "cookie"}
    for _ in range(2):
        answer = await guest.call("POST", "/cart/items", {"product_id": variant, "quantity": 1}, **sent)
        guest.client.cookies.clear()
        assert answer.headers["set-cookie"].startswith(f"__Host-cart={answer.json()['cart_uuid']};")


async def test_a_repeat_for_a_line_that_was_taken_out_since_is_404(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    body = {"product_id": variant, "quantity": 1, "cart_uuid": guest.cart_uuid}
    key = {KEY: uuid4().hex}
    await guest.call("POST", "/cart/items", body, **key)
    await guest.call("DELETE", f"/cart/items?product_id={variant}&cart_uuid={guest.cart_uuid}")
    repeated = await guest.call("POST", "/cart/items", body, **key)
    assert (repeated.status_code, repeated.json()["code"]) == (404, "not_found")
    assert (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()["items"] == []


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
    assert [answer.headers.get("Idempotency-Replayed") for answer in (first, second)] == [None, "true"]
    other = await guest.pay(total, payment_token="decline", **key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
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


async def test_a_started_payment_is_answered_again_and_says_so(guest: Guest, sessions):
    await guest.prepare(await add_variant(sessions, guest.store))
    key = {KEY: uuid4().hex}
    address = f"/checkout/{guest.token}/payment/test"
    first, second = [await guest.call("POST", address, {}, **key) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["next_step_url"] == second.json()["next_step_url"]
    assert [answer.headers.get("Idempotency-Replayed") for answer in (first, second)] == [None, "true"]


async def test_an_order_on_account_is_answered_again_and_says_so(guest: Guest, sessions):
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    key = {KEY: uuid4().hex}
    answers = [await guest.pay(checkout["totals"]["total"], service="manual", **key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 204]
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true"]


async def hold(session: AsyncSession, store_id: int) -> Key:
    """Claim a key as a request does that has not come to its end."""
    key = Key(key_digest=uuid4().bytes, body_digest=b"body")
    assert await claim(session, store_id, key, now=utc_now(), keep_seconds=60) is None
    return key


async def test_the_key_of_a_killed_worker_can_be_taken_over(guest: Guest, sessions):
    async with sessions() as killed:
        key = await hold(killed, guest.store.id)
        pid = await killed.scalar(text("SELECT pg_backend_pid()"))
        async with sessions.begin() as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            assert await claim(other, guest.store.id, key, now=utc_now(), keep_seconds=60) is None
        await killed.invalidate()


async def test_a_frozen_worker_keeps_its_key_no_longer_than_a_transaction_may_idle(guest: Guest, sessions):
    async with sessions() as frozen:
        # The limit itself is ten seconds; a lock is waited for up to two.
        await frozen.execute(text("SET LOCAL idle_in_transaction_session_timeout = '300ms'"))
        key = await hold(frozen, guest.store.id)
        async with sessions.begin() as other:
            assert await claim(other, guest.store.id, key, now=utc_now(), keep_seconds=60) is None
        await frozen.invalidate()


async def test_while_the_first_one_runs_a_repeat_is_told_so(guest: Guest, sessions):
    async with sessions() as running:
        key = await hold(running, guest.store.id)
        async with sessions() as other:
            await other.execute(text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(Conflict) as refused:
                await claim(other, guest.store.id, key, now=utc_now(), keep_seconds=60)
        assert refused.value.code == IN_PROGRESS


async def test_an_expired_key_counts_as_a_new_one(guest: Guest, sessions):
    async with sessions.begin() as session:
        key = await hold(session, guest.store.id)
        await keep(session, guest.store.id, key, {"order_id": 1})
    async with sessions.begin() as session:
        later = utc_now() + timedelta(seconds=61)
        assert await claim(session, guest.store.id, key, now=later, keep_seconds=60) is None
        assert await claim(session, guest.store.id, key, now=later, keep_seconds=60) == {}


async def test_a_key_whose_attempt_was_never_charged_pays_with_a_new_one(
    guest: Guest, sessions, database_url, redis_url, monkeypatch
):
    """What a process leaves behind that is killed between writing the attempt down and calling the service."""
    variant = await add_variant(sessions, guest.store, on_hand=5)
    checkout = await guest.prepare(variant)
    total, key = checkout["totals"]["total"], {KEY: uuid4().hex}
    with monkeypatch.context() as killed:

        async def never_called(*_: object) -> None:
            return None

        killed.setattr(Till, "_charge", never_called)
        killed.setattr(Till, "deadline", lambda _: asyncio.get_running_loop().time() + 0.5)
        assert (await guest.pay(total, **key)).status_code == 202
    async with sessions() as session:
        payment = await session.scalar(select(Payment).where(Payment.store_id == guest.store.id))
    shop = build_shop(settings_for(database_url, redis_url))
    try:
        over = timedelta(seconds=CALL_IS_OVER_SECONDS + 5)
        till = replace(shop.till, clock=lambda: utc_now() + over)
        await till.ask(await shop.stores.get(guest.store.id), payment)
    finally:
        await close_shop(shop)
    paid = await guest.pay(total, **key)
    assert (paid.status_code, paid.headers.get("Idempotency-Replayed")) == (204, None)
    again = await guest.pay(total, **key)
    assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (204, "true")
    async with sessions() as session:
        states = await session.scalars(
            text("SELECT state FROM payments WHERE store_id = :id ORDER BY attempt"), {"id": guest.store.id}
        )
        assert list(states) == ["cancelled", "captured"]
