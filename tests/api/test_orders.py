"""Finding an order again: the same answer for everybody, and a link only for its buyer."""

import re
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from sqlalchemy import text

from app.db.queue import enqueue
from app.db.session import Sessions, transaction
from app.domain.orders.jobs import order_jobs
from app.domain.stores.directory import StoreDirectory
from app.integrations.mail import FileMailer, MailTemplates
from app.integrations.test_payments import TestPayments
from app.kit.clock import utc_now
from app.worker import work_once
from tests.canaries import SECRET_KEY
from tests.shop import Guest, add_variant, settings_for


@pytest.fixture
async def worker(sessions: Sessions, reads, database_url, redis_url, tmp_path: Path):
    """Runs every due job of orders; the mails that came of it."""
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    settings = settings_for(database_url, redis_url)
    handlers = order_jobs(
        sessions=sessions,
        stores=StoreDirectory(reads),
        writer=MailTemplates(settings),
        mailer=FileMailer(tmp_path),
        settings=settings,
        clock=utc_now,
    )

    async def run():
        while await work_once(sessions, handlers):
            pass
        return [message_from_bytes(path.read_bytes(), policy=default) for path in sorted(tmp_path.iterdir())]

    return run


def text_of(mail) -> str:
    return mail.get_body(("plain",)).get_content()


async def buy(guest: Guest, sessions: Sessions) -> tuple[int, str]:
    variant = await add_variant(sessions, guest.store)
    checkout = await guest.prepare(variant)
    paid = await guest.pay(checkout["totals"]["total"])
    order_id = int(paid.headers["location"].rpartition("/")[2])
    return order_id, (await guest.read_order(order_id)).json()["number"]


async def test_the_confirmation_is_mailed_once(guest: Guest, sessions: Sessions, worker):
    _, number = await buy(guest, sessions)
    (mail,) = await worker()
    assert mail["To"] == "ada@example.com"
    assert number in mail["Subject"]
    assert "Total: $30.00" in text_of(mail)
    assert "Enamel mug" in text_of(mail)
    assert len(await worker()) == 1


async def test_mails_that_are_written_side_by_side_are_each_about_their_own_order(
    guest: Guest, sessions: Sessions, worker
):
    bought = dict([await buy(guest, sessions), await buy(guest, sessions)])
    async with transaction(sessions) as session:
        await enqueue(
            session,
            store_id=guest.store.id,
            kind="orders.confirm",
            dedupe_key="order-0",
            payload={"order_id": 0},
            run_at=utc_now() - timedelta(hours=1),
        )
    mails = await worker()
    links = [re.search(r"orders/(\d+)\?uuid=([\w-]+)", text_of(mail)).groups() for mail in mails]
    assert {
        int(order_id): mail["Subject"].split()[-1] for (order_id, _), mail in zip(links, mails, strict=True)
    } == bought
    for order_id, secret in links:
        opened = await guest.call("POST", f"/orders/{order_id}/access", {"uuid": secret})
        assert opened.json()["number"] == bought[int(order_id)]
    async with sessions() as session:
        reason = await session.scalar(text("SELECT reason FROM jobs WHERE dedupe_key = 'order-0'"))
    assert reason.startswith("NotFound")


async def test_what_sells_is_counted_once_however_often_the_job_runs(
    guest: Guest, sessions: Sessions, worker
):
    variant = await add_variant(sessions, guest.store, on_hand=10)
    checkout = await guest.prepare(variant, 3)
    await guest.pay(checkout["totals"]["total"])
    # Money of another currency is not added to the store's own.
    for currency, amount in (("USD", 3 * 2500), ("USD", 3 * 2500), ("EUR", 0)):
        async with sessions() as session:
            await session.execute(
                text("UPDATE orders SET currency = :currency WHERE store_id = :store"),
                {"currency": currency, "store": guest.store.id},
            )
            await session.commit()
        await worker()
        async with sessions() as session:
            sold = await session.execute(
                text(
                    "SELECT v.sold, v.sold_amount, p.sold FROM variants v JOIN products p ON p.id = v.product_id"
                    " WHERE v.id = :id"
                ),
                {"id": variant},
            )
            assert tuple(sold.one()) == (3, amount, 3)
            await session.execute(text("UPDATE jobs SET state = 'queued' WHERE kind = 'orders.count_sold'"))
            await session.commit()


async def test_a_mailed_link_opens_the_order_once(guest: Guest, sessions: Sessions, worker):
    order_id, number = await buy(guest, sessions)
    await worker()
    found = await guest.call("POST", "/orders/find", {"order": number, "email": guest.email})
    assert (found.status_code, found.content) == (204, b"")
    mail = (await worker())[-1]
    secret = re.search(r"uuid=([\w-]+)", text_of(mail)).group(1)
    opened = await guest.call("POST", f"/orders/{order_id}/access", {"uuid": secret})
    assert opened.status_code == 200, opened.text
    assert opened.json()["number"] == number
    again = await guest.call("POST", f"/orders/{order_id}/access", {"uuid": secret})
    assert (again.status_code, again.json()["code"]) == (404, "link_not_found")
    async with sessions() as session:
        kept = await session.scalar(
            text("SELECT count(*) FROM order_links WHERE encode(digest, 'escape') = :s"), {"s": secret}
        )
    assert kept == 0


async def test_asking_for_an_order_that_is_not_there_answers_the_same_and_mails_nobody(
    guest: Guest, sessions: Sessions, worker
):
    _, number = await buy(guest, sessions)
    before = len(await worker())
    for body in (
        {"order": number, "email": "somebody@example.com"},
        {"order": "#999999", "email": guest.email},
        {"order": "nonsense", "email": "nonsense"},
    ):
        answer = await guest.call("POST", "/orders/find", body)
        assert (answer.status_code, answer.content) == (204, b"")
    assert len(await worker()) == before


async def test_a_late_payment_is_settled_by_its_webhook_alone(guest: Guest, sessions: Sessions, client):
    variant = await add_variant(sessions, guest.store, on_hand=1)
    checkout = await guest.prepare(variant)
    waiting = await guest.pay(checkout["totals"]["total"], payment_token="late")
    assert (waiting.status_code, waiting.json()["state"]) == (202, "paying")
    async with sessions() as session:
        key = await session.scalar(text("SELECT key FROM payments ORDER BY id DESC LIMIT 1"))
    service = _service(sessions, client)
    address = f"{client.base_url}/storefront/v1/webhooks/test"
    await service.deliver({"key": key}, address=address)
    await service.deliver({"key": key}, address=address)
    assert (await guest.read_checkout())["state"] == "completed"
    async with sessions() as session:
        taken = await session.scalar(
            text("SELECT count(*) FROM payment_events WHERE event_id = :e"), {"e": f"evt-{key}"}
        )
    assert taken == 1


async def test_a_webhook_without_its_signature_is_refused(client, sessions: Sessions):
    answer = await client.post("/storefront/v1/webhooks/test", json={"event_id": "1"})
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")


def _service(sessions: Sessions, client):
    return TestPayments(sessions, public_url=str(client.base_url), secrets=(SECRET_KEY,), window=300)
