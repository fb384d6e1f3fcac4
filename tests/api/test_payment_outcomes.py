"""What becomes of money that comes late, twice, in another sum, or while nobody is waiting for it."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text

from app.db.reads import Reads
from app.db.session import Sessions, transaction
from app.domain.checkout.jobs import checkout_jobs, reconcile
from app.domain.checkout.till import Till
from app.domain.payments.services import Captured, ServiceEvent
from app.domain.stores.directory import StoreDirectory
from app.integrations.test_payments import SIGNATURE_HEADER, TestPayments
from app.kit.clock import utc_now
from app.worker import work_once
from tests.canaries import SECRET_KEY
from tests.shop import Guest, add_variant, waiting_for_locks


@pytest.fixture
def service(sessions: Sessions, client) -> TestPayments:
    return TestPayments(sessions, public_url=str(client.base_url), secrets=(SECRET_KEY,), window=300)


@pytest.fixture
def till(sessions: Sessions, service: TestPayments) -> Till:
    return Till(
        sessions=sessions,
        services={"test": service},
        return_url="http://localhost",
        wait_seconds=5,
        clock=utc_now,
    )


async def rows(sessions: Sessions, sql: str, **values):
    async with sessions() as session:
        return [tuple(row) for row in await session.execute(text(sql), values)]


async def change(sessions: Sessions, sql: str, **values) -> None:
    async with transaction(sessions) as session:
        await session.execute(text(sql), values)


async def payments_of(sessions: Sessions, guest: Guest):
    return await rows(
        sessions,
        "SELECT state, captured, refunded FROM payments WHERE store_id = :id ORDER BY attempt",
        id=guest.store.id,
    )


async def capture_event(sessions: Sessions, service: TestPayments, client, guest: Guest, *, attempt: int):
    """The service says, after all, that it took the money of an attempt."""
    ((key, amount, currency),) = await rows(
        sessions,
        "SELECT key, amount, currency FROM payments WHERE store_id = :id AND attempt = :attempt",
        id=guest.store.id,
        attempt=attempt,
    )
    event = ServiceEvent(f"evt-{key}", "charge.captured", key, Captured(f"ref-{key}", amount, currency))
    body = msgspec.json.encode(event).decode()
    headers = {"Content-Type": "application/json", SIGNATURE_HEADER: service.sign(body, now=utc_now())}
    return await client.post("/storefront/v1/webhooks/test", content=body, headers=headers)


async def refunds(sessions: Sessions, till: Till, reads: Reads) -> None:
    await change(sessions, "UPDATE jobs SET state = 'done' WHERE kind <> 'payments.refund'")
    jobs = checkout_jobs(till=till, stores=StoreDirectory(reads), clock=utc_now)
    while await work_once(sessions, jobs):
        pass


async def books(sessions: Sessions, guest: Guest) -> dict[str, int]:
    found = await rows(
        sessions,
        "SELECT account, sum(amount)::bigint FROM ledger_entries WHERE store_id = :id GROUP BY account",
        id=guest.store.id,
    )
    return {account: amount for account, amount in found if amount}


async def test_money_for_a_declined_attempt_is_sent_back_also_after_another_card_paid(
    guest, sessions, service, client, till, reads
):
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    total = checkout["totals"]["total"]
    await guest.pay(total, payment_token="decline")
    assert (await guest.pay(total)).status_code == 204
    for _ in range(2):
        assert (await capture_event(sessions, service, client, guest, attempt=1)).status_code == 200
    await refunds(sessions, till, reads)
    assert await payments_of(sessions, guest) == [("late", total, total), ("captured", total, 0)]
    assert (await books(sessions, guest))["payments:test"] == total
    assert "owed_to_shoppers" not in await books(sessions, guest)


async def test_after_late_money_the_checkout_can_still_be_paid(guest, sessions, service, client, till, reads):
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    total = checkout["totals"]["total"]
    await guest.pay(total, payment_token="decline")
    await capture_event(sessions, service, client, guest, attempt=1)
    paid = await guest.pay(total)
    assert paid.status_code == 204, paid.text
    await refunds(sessions, till, reads)
    assert await payments_of(sessions, guest) == [("late", total, total), ("captured", total, 0)]


async def test_another_sum_never_pays_the_order_and_is_sent_back(guest, sessions, till, reads):
    variant = await add_variant(sessions, guest.store, on_hand=1)
    checkout = await guest.prepare(variant)
    asked = await guest.pay(checkout["totals"]["total"], payment_token="second_step")
    await change(
        sessions,
        "UPDATE test_charges SET amount = 1, state = 'captured' WHERE reference = :reference",
        reference=asked.json()["next_step_url"].rpartition("/")[2],
    )
    declined = await guest.call("POST", f"/checkout/{guest.token}/payment/test/confirm", {})
    assert (declined.status_code, declined.json()["code"]) == (402, "payment_declined")
    await refunds(sessions, till, reads)
    assert await payments_of(sessions, guest) == [("late", 1, 1)]
    assert (await guest.read_checkout())["state"] == "priced"
    assert await rows(
        sessions, "SELECT on_hand, reserved FROM stock_items WHERE variant_id = :id", id=variant
    ) == [(1, 0)]


async def test_confirming_while_the_card_is_being_charged_disturbs_nothing(guest, sessions):
    for _ in range(4):
        guest.cart_uuid = ""
        checkout = await guest.prepare(await add_variant(sessions, guest.store, on_hand=5))
        total = checkout["totals"]["total"]
        paying = asyncio.create_task(guest.pay(total))
        while not paying.done():
            await guest.call("POST", f"/checkout/{guest.token}/payment/test/confirm", {})
        paid = await paying
        assert paid.status_code == 204
        assert (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).status_code == 200
    assert {state for state, _, _ in await payments_of(sessions, guest)} == {"captured"}


async def test_a_charge_whose_caller_died_is_settled_by_the_reconciler(guest, sessions, till, reads, service):
    checkout = await guest.prepare(await add_variant(sessions, guest.store, on_hand=1))
    waiting = await guest.pay(checkout["totals"]["total"], payment_token="late")
    assert waiting.status_code == 202
    await change(
        sessions,
        "UPDATE test_charges SET state = 'hanging', created_at = now() - interval '1 minute' "
        "WHERE key = (SELECT key FROM payments WHERE store_id = :id)",
        id=guest.store.id,
    )
    await reconcile(till, StoreDirectory(reads), now=utc_now(), quiet=timedelta(seconds=-1))
    assert (await guest.read_checkout())["state"] == "completed"


async def test_an_unanswered_step_is_given_up_when_its_hold_runs_out(guest, sessions, till, reads):
    variant = await add_variant(sessions, guest.store, on_hand=1)
    checkout = await guest.prepare(variant)
    await guest.pay(checkout["totals"]["total"], payment_token="second_step")
    stores = StoreDirectory(reads)
    await reconcile(till, stores, now=utc_now(), quiet=timedelta(seconds=-1))
    assert (await guest.read_checkout())["state"] == "paying"
    await reconcile(till, stores, now=utc_now() + timedelta(hours=1), quiet=timedelta(0))
    assert (await guest.read_checkout())["state"] == "priced"
    assert await rows(
        sessions, "SELECT on_hand, reserved FROM stock_items WHERE variant_id = :id", id=variant
    ) == [(1, 0)]


async def test_a_paid_checkout_outlives_its_cart(guest, sessions):
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    await guest.pay(checkout["totals"]["total"])
    await change(
        sessions,
        "UPDATE carts SET expires_at = now() - interval '1 day' WHERE store_id = :id",
        id=guest.store.id,
    )
    assert (await guest.read_checkout())["state"] == "completed"


async def test_opening_again_and_paying_at_the_last_moment_do_not_deadlock(guest, sessions):
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    total = checkout["totals"]["total"]
    async with sessions() as holder:
        # Whoever comes now waits, and finds the checkout expired when it gets the lock.
        await holder.execute(
            text("UPDATE checkouts SET expires_at = now() - interval '1 second' WHERE token = :token"),
            {"token": guest.token},
        )
        calls = [
            asyncio.create_task(guest.pay(total)),
            asyncio.create_task(guest.call("POST", "/checkout", {"cart_uuid": guest.cart_uuid})),
        ]
        await waiting_for_locks(sessions, 1)
        await holder.commit()
    paid, opened = await asyncio.gather(*calls)
    assert (paid.status_code, paid.json()["code"]) == (409, "checkout_expired")
    assert opened.status_code == 200


async def test_a_price_that_changes_while_a_payment_waits_is_seen(guest, sessions):
    variant = await add_variant(sessions, guest.store, price=2500)
    total = (await guest.prepare(variant))["totals"]["total"]
    async with sessions() as holder:
        await holder.execute(
            text("SELECT 1 FROM checkouts WHERE token = :token FOR UPDATE"), {"token": guest.token}
        )
        paying = asyncio.create_task(guest.pay(total))
        await waiting_for_locks(sessions, 1)
        await holder.execute(text("UPDATE variants SET price = 2600 WHERE id = :id"), {"id": variant})
        await holder.commit()
    answer = await paying
    assert answer.status_code == 409, answer.headers
    assert (answer.json()["code"], answer.json()["totals"]["total"]) == ("total_changed", total + 100)


@pytest.mark.parametrize("signature", ["\u00b2,abc", "1,\u00e9", "", "9" * 400 + ",x"])
async def test_a_strange_signature_is_refused(client, signature):
    answer = await client.post(
        "/storefront/v1/webhooks/test",
        content=b"{}",
        headers={b"content-type": b"application/json", b"test-signature": signature.encode("latin-1")},
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")
