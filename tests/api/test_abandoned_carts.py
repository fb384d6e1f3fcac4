"""A cart that was left: noted once, and only whoever wants the shop's mails is reminded of it, once."""

import asyncio
import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.db.session import transaction
from app.domain.checkout.abandoned import REMIND, note_abandoned
from app.domain.newsletter.models import Subscription
from app.kit.clock import utc_now
from app.kit.ids import new_uuid
from tests.api.after_order import forget_jobs, work_off
from tests.people import join
from tests.shop import ADDRESS, Guest, add_variant, settings_for

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
async def reminding(sessions, store):
    """Only this test's store has carts to remind of."""
    await forget_jobs(sessions)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE carts SET abandoned_at = updated_at WHERE abandoned_at IS NULL"))
        await session.execute(
            text("UPDATE stores SET settings = CAST(:settings AS jsonb) WHERE id = :id"),
            {"id": store.id, "settings": json.dumps({"carts": {"remind": True}})},
        )


@pytest.fixture
def work(database_url, redis_url, tmp_path):
    settings = settings_for(database_url, redis_url, STOREFRONT_SHOP_URL="https://shop.example")

    async def run():
        return await work_off(settings, tmp_path)

    return run


async def subscribe(sessions, store, email: str, *, status: str = "subscribed") -> None:
    now = utc_now()
    async with transaction(sessions) as session:
        session.add(
            Subscription(
                store_id=store.id,
                uuid=new_uuid(),
                form_uuid=new_uuid(),
                email=email,
                email_key=email,
                status=status,
                confirmed_at=now,
                updated_at=now,
            )
        )


async def leave(sessions, guest: Guest, *, ago: timedelta = DAY + timedelta(minutes=1)) -> None:
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE carts SET updated_at = :at WHERE store_id = :store"),
            {"at": utc_now() - ago, "store": guest.store.id},
        )


async def note(sessions) -> int:
    return await note_abandoned(sessions, now=utc_now(), after=DAY)


async def go_to_checkout(guest: Guest, sessions) -> int:
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant, 2)
    await guest.open_checkout()
    body = {"email": guest.email, "shipping_address": ADDRESS, "subscribe": 0}
    answer = await guest.call("PUT", f"/checkout/{guest.token}/customer", body)
    assert answer.status_code == 200, answer.text
    return variant


async def test_a_left_cart_is_noted_once_and_its_reader_reminded_once(guest: Guest, sessions, work):
    await subscribe(sessions, guest.store, guest.email)
    variant = await go_to_checkout(guest, sessions)
    assert await note(sessions) == 0
    await leave(sessions, guest)
    assert [await note(sessions) for _ in range(3)] == [1, 0, 0]
    (mail,) = [one for one in await work() if one["Subject"] == "Your cart is still here"]
    assert mail["To"] == guest.email
    body = mail.get_body(("plain",)).get_content()
    assert "Enamel mug" in body
    assert f"https://shop.example/#/cart?cart_uuid={guest.cart_uuid}" in body
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    # Touched again and left again, it is the same cart.
    assert (await guest.add(variant)).status_code == 200
    await leave(sessions, guest)
    assert (await note(sessions), await work()) == (0, [])


@pytest.mark.parametrize("status", [None, "pending", "unsubscribed"])
async def test_nobody_is_reminded_who_did_not_ask_for_mails(guest: Guest, sessions, work, status):
    if status:
        await subscribe(sessions, guest.store, guest.email, status=status)
    await go_to_checkout(guest, sessions)
    await leave(sessions, guest)
    assert await note(sessions) == 1
    assert await work() == []


async def test_a_customer_is_reminded_at_their_own_address_and_logs_in_for_the_cart(
    guest: Guest, sessions, redis_url, work
):
    member = await join(guest, sessions, redis_url, email="ines@example.com", language="de")
    await subscribe(sessions, guest.store, "ines@example.com")
    await member.add(await add_variant(sessions, guest.store))
    await leave(sessions, guest)
    assert await note(sessions) == 1
    (mail,) = await work()
    assert (mail["To"], mail["Subject"]) == ("ines@example.com", "Ihr Warenkorb ist noch da")
    body = mail.get_body(("plain",)).get_content()
    assert "https://shop.example/#/cart" in body.split()
    assert "cart_uuid" not in body


async def test_whoever_came_back_meanwhile_or_stopped_the_mails_is_left_alone(guest: Guest, sessions, work):
    await subscribe(sessions, guest.store, guest.email)
    await go_to_checkout(guest, sessions)
    await leave(sessions, guest)
    assert await note(sessions) == 1
    await guest.add(await add_variant(sessions, guest.store))
    assert await work() == []


async def test_a_store_that_reminds_nobody_still_notes(guest: Guest, sessions, work):
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE stores SET settings = '{}' WHERE id = :id"), {"id": guest.store.id}
        )
    await subscribe(sessions, guest.store, guest.email)
    await go_to_checkout(guest, sessions)
    await leave(sessions, guest)
    assert await note(sessions) == 1
    async with sessions() as session:
        queued = await session.scalar(text("SELECT count(*) FROM jobs WHERE kind = :kind"), {"kind": REMIND})
    assert queued == 0


async def test_empty_carts_carts_being_paid_and_carts_of_long_ago_are_not_left_ones(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    await leave(sessions, guest, ago=timedelta(days=9))
    assert await note(sessions) == 0
    emptied = {"product_id": variant, "quantity": 0, "cart_uuid": guest.cart_uuid}
    assert (await guest.call("PUT", "/cart/items", emptied)).status_code == 204
    await leave(sessions, guest)
    assert await note(sessions) == 0
    payer = Guest(guest.client, guest.store, guest.option_id)
    checkout = await payer.prepare(variant)
    paid = await payer.pay(checkout["totals"]["total"], payment_token="second_step")
    assert paid.status_code == 402
    await leave(sessions, guest)
    assert await note(sessions) == 0


async def test_a_cart_that_was_emptied_and_filled_again_can_be_left_anew(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    await leave(sessions, guest)
    assert await note(sessions) == 1
    emptied = {"product_id": variant, "quantity": 0, "cart_uuid": guest.cart_uuid}
    assert (await guest.call("PUT", "/cart/items", emptied)).status_code == 204
    await guest.add(variant)
    await leave(sessions, guest)
    assert await note(sessions) == 1


async def test_two_workers_at_once_note_a_cart_once(guest: Guest, sessions):
    await guest.add(await add_variant(sessions, guest.store))
    await leave(sessions, guest)
    assert sorted(await asyncio.gather(*(note(sessions) for _ in range(4)))) == [0, 0, 0, 1]
