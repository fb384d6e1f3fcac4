"""Money that is held with the order and taken when it is shipped: booked when it is ours, let go when it is not."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from app.cli import main
from app.db.audit import run_audit
from app.db.queue import GiveUp, Job
from app.db.session import transaction
from app.domain.checkout.authorizing import ENDS, ENDS_SOON
from app.domain.checkout.capturing import capturing_jobs
from app.domain.payments.authorizations import CAPTURE, VOID
from app.kit.clock import utc_now
from app.main import build_shop, close_shop
from tests.api.after_order import forget_jobs, work_off
from tests.api.stripe_shop import Buyer
from tests.shop import Guest, add_gift_card, add_variant, open_till


@pytest.fixture
async def buyer(place, sessions, store, reads) -> AsyncIterator[Buyer]:
    """Somebody at a store that takes money later; in the end all books must agree."""
    await forget_jobs(sessions)
    async with transaction(sessions) as session:
        await session.execute(
            text("""UPDATE stores SET settings = '{"payment": {"capture": "later"}}' WHERE id = :id"""),
            {"id": store.id},
        )
    guest = Guest(place.client, store, await open_till(sessions, store))
    variant = await add_variant(sessions, store, price=2500, on_hand=5)
    await guest.prepare(variant)
    yield Buyer(guest, place.stripe, place, sessions, variant)
    place.stripe.clear_faults()
    assert await run_audit(reads, utc_now(), store_id=store.id) == []


@pytest.fixture
def run(database_url, tmp_path_factory, store):
    async def invoke(*arguments: str) -> Result:
        environ = {"DATABASE_URL": database_url, "STOREFRONT_DATA_DIR": str(tmp_path_factory.mktemp("data"))}
        called = ["order", *arguments, "--store", store.code]
        return await asyncio.to_thread(CliRunner(env=environ).invoke, main, called)

    return invoke


async def do_held(buyer: Buyer, kind: str) -> None:
    """Do every job of a kind, whether it is due or not."""
    rows = await buyer.rows(
        f"SELECT id, store_id, kind, dedupe_key, payload FROM jobs WHERE kind = '{kind}' AND store_id = :store"
    )
    assert rows
    shop = build_shop(buyer.settings)
    try:
        do = capturing_jobs(till=shop.till, stores=shop.stores, clock=utc_now)[kind]
        await asyncio.gather(*(do(Job(*row, tries=1)) for row in rows))
    finally:
        await close_shop(shop)


async def stand(buyer: Buyer) -> tuple[str, str, str]:
    """The order's status and how it is paid, and the state of its payment."""
    (row,) = await buyer.rows(
        "SELECT o.status, o.payment_status, p.state FROM orders o JOIN payments p ON p.order_id = o.id "
        "WHERE o.store_id = :store"
    )
    return row


async def timeline(buyer: Buyer) -> list[str]:
    rows = await buyer.rows("SELECT event FROM order_events WHERE store_id = :store ORDER BY id")
    return [event for (event,) in rows]


async def number(buyer: Buyer) -> str:
    ((found,),) = await buyer.rows("SELECT number FROM orders WHERE store_id = :store")
    return str(found)


async def booked(buyer: Buyer) -> dict[str, int]:
    rows = await buyer.rows(
        "SELECT account, sum(amount)::bigint FROM ledger_entries WHERE store_id = :store GROUP BY account"
    )
    return {account: amount for account, amount in rows if amount}


SALE = {"sales": -2500, "shipping": -500}


async def test_money_is_held_with_the_order_and_taken_with_its_first_parcel(buyer: Buyer, run, reads):
    paid = await buyer.pay()
    assert paid.status_code == 204, paid.text
    assert await stand(buyer) == ("open", "authorized", "authorized")
    order_id = int(paid.headers["location"].rpartition("/")[2])
    order = (await buyer.guest.read_order(order_id)).json()
    assert (order["payment_status"], order["paid_at"]) == ("authorized", None)
    assert [one["status"] for one in order["payments"]] == ["authorized"]
    assert order["timeline"][1]["detail"].startswith("stripe: 30.00 USD until 20")
    assert await booked(buyer) == SALE | {"receivable": 3000}
    assert buyer.stripe.events_of((await buyer.intent())["id"], "payment_intent.succeeded") == []
    asked = f"SELECT id FROM jobs WHERE kind = '{CAPTURE}' AND store_id = :store"
    assert await buyer.rows(asked) == []
    await buyer.check_books(orders=1, stock=(4, 0))
    assert await run_audit(reads, utc_now(), store_id=buyer.guest.store.id) == []

    shipped = await run("ship", await number(buyer), "--carrier", "Alpine Post")
    assert shipped.output.endswith("fulfilled\n"), shipped.output
    for _ in range(2):
        await do_held(buyer, CAPTURE)
    (event,) = buyer.stripe.events_of((await buyer.intent())["id"], "payment_intent.succeeded")
    assert (await buyer.send(event)).status_code == 200
    assert await stand(buyer) == ("completed", "paid", "captured")
    assert await booked(buyer) == SALE | {"payments:stripe": 3000}
    assert await timeline(buyer) == ["placed", "authorized", "shipped", "paid", "completed"]
    await do_held(buyer, ENDS_SOON)
    await do_held(buyer, ENDS)
    assert await stand(buyer) == ("completed", "paid", "captured")
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_money_for_what_needs_no_shipping_is_taken_as_soon_as_it_is_held(buyer: Buyer, sessions):
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE variants SET requires_shipping = false WHERE id = :id"), {"id": buyer.variant}
        )
    checkout = await buyer.guest.read_checkout()
    paid = await buyer.guest.pay(checkout["totals"]["due"], service="stripe", payment_token="pm_card_visa")
    assert paid.status_code == 204, paid.text
    assert await stand(buyer) == ("open", "authorized", "authorized")
    await do_held(buyer, CAPTURE)
    await do_held(buyer, ENDS)
    assert await stand(buyer) == ("open", "paid", "captured")
    assert await timeline(buyer) == ["placed", "authorized", "paid"]
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_staff_take_the_money_by_a_command_and_a_lost_answer_takes_it_once(buyer: Buyer, run):
    await buyer.pay("pm_card_authenticationRequired")
    intent = await buyer.intent()
    buyer.stripe.authenticate(intent["id"])
    (event,) = buyer.stripe.events_of(intent["id"], "payment_intent.amount_capturable_updated")
    for _ in range(2):
        assert (await buyer.send(event)).status_code == 200
    assert await stand(buyer) == ("open", "authorized", "authorized")
    told = await run("capture", await number(buyer))
    assert told.output == f"#{await number(buyer)}: 30.00 USD is taken\n", told.output
    buyer.stripe.fail("capture", "cut")
    with pytest.raises(RuntimeError, match="did not say"):
        await do_held(buyer, CAPTURE)
    assert await booked(buyer) == SALE | {"receivable": 3000}
    await do_held(buyer, CAPTURE)
    assert await stand(buyer) == ("open", "paid", "captured")
    again = await run("capture", await number(buyer))
    assert (again.exit_code, "no money is held" in again.output) == (1, True)
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_cancelled_order_lets_the_money_go_and_one_that_was_quicker_sends_it_back(
    buyer: Buyer, run, sessions, place
):
    assert (await buyer.pay()).status_code == 204
    first = await buyer.intent()
    cancelled = await run("cancel", await number(buyer), "--reason", "No")
    assert cancelled.exit_code == 0, cancelled.output
    assert await stand(buyer) == ("cancelled", "failed", "authorized")
    for _ in range(2):
        await do_held(buyer, VOID)
    assert first["status"] == "canceled"
    assert await stand(buyer) == ("cancelled", "failed", "cancelled")
    assert await booked(buyer) == SALE | {"cancellations": 3000}
    await buyer.check_books(orders=1, stock=(5, 0))

    # Another order, whose capture is on its way when it is cancelled.
    other = Guest(place.client, buyer.guest.store, buyer.guest.option_id)
    await other.prepare(buyer.variant)
    second = replace(buyer, guest=other)
    assert (await second.pay()).status_code == 204
    intent = await second.intent()
    assert intent["id"] != first["id"]
    ((newest,),) = await buyer.rows("SELECT max(number) FROM orders WHERE store_id = :store")
    assert (await run("cancel", str(newest), "--reason", "No")).exit_code == 0
    buyer.stripe.take_held(intent["id"])
    await do_held(buyer, VOID)
    await buyer.refund()
    rows = await buyer.rows(
        "SELECT state, captured, refunded FROM payments WHERE store_id = :store ORDER BY id DESC LIMIT 1"
    )
    assert rows == [("late", 3000, 3000)]
    await buyer.check_books(orders=2, stock=(5, 0))


async def test_stripe_tells_of_money_that_is_let_go_as_a_refund_which_is_none_of_ours(buyer: Buyer, run):
    assert (await buyer.pay()).status_code == 204
    intent = await buyer.intent()
    assert (await run("cancel", await number(buyer), "--reason", "No")).exit_code == 0
    await do_held(buyer, VOID)
    (event,) = buyer.stripe.events_about(intent["id"])
    assert (await buyer.send(event)).status_code == 200
    buyer.stripe.fail("retrieve", "error")
    with pytest.raises(RuntimeError, match="no capture yet"):  # nobody knows yet
        await buyer.compare_refunds()
    buyer.stripe.clear_faults()
    await buyer.compare_refunds()
    assert await stand(buyer) == ("cancelled", "failed", "cancelled")
    assert await buyer.rows("SELECT id FROM payment_refunds WHERE store_id = :store") == []
    assert "refund" not in " ".join(await timeline(buyer))
    assert await booked(buyer) == SALE | {"cancellations": 3000}


async def test_what_nobody_takes_is_warned_of_and_cancelled_at_its_end(buyer: Buyer, tmp_path, caplog):
    assert (await buyer.pay()).status_code == 204
    due = await buyer.rows(
        "SELECT kind, run_at FROM jobs WHERE kind LIKE 'payments.auth%' AND store_id = :store ORDER BY run_at"
    )
    gaps = [run_at - utc_now() for _, run_at in due]
    assert [kind for kind, _ in due] == [ENDS_SOON, ENDS]
    assert timedelta(days=5, hours=23) < gaps[0] < timedelta(days=6) < gaps[1] < timedelta(days=7)
    await do_held(buyer, ENDS_SOON)
    assert (await timeline(buyer))[-1] == "authorization_ends"
    assert "ship or capture it" in caplog.text
    await do_held(buyer, ENDS)
    assert await stand(buyer) == ("cancelled", "failed", "authorized")
    mails = await work_off(buyer.settings, tmp_path)
    assert any("cancelled" in mail["Subject"] for mail in mails)
    assert (await buyer.intent())["status"] == "canceled"
    assert await stand(buyer) == ("cancelled", "failed", "cancelled")
    await buyer.check_books(orders=1, stock=(5, 0))


async def test_an_order_is_not_cancelled_for_want_of_money_while_the_service_does_not_answer(buyer: Buyer):
    assert (await buyer.pay()).status_code == 204
    buyer.stripe.take_held((await buyer.intent())["id"])  # at Stripe's own pages, and the event never came
    buyer.stripe.fail("retrieve", "error")
    with pytest.raises(RuntimeError, match="did not say"):
        await do_held(buyer, ENDS)
    assert await stand(buyer) == ("open", "authorized", "authorized")
    buyer.stripe.clear_faults()
    await do_held(buyer, ENDS)
    assert await stand(buyer) == ("open", "paid", "captured")
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_a_part_that_is_captured_at_the_services_own_pages_goes_back(buyer: Buyer, run):
    assert (await buyer.pay()).status_code == 204
    intent = await buyer.intent()
    buyer.stripe.take_held(intent["id"], 1000)
    (event,) = buyer.stripe.events_of(intent["id"], "payment_intent.succeeded")
    for _ in range(2):
        assert (await buyer.send(event)).status_code == 200
    # The sum of an event is not believed; the service is asked at once, and not only when the hold would end.
    assert await stand(buyer) == ("open", "authorized", "authorized")
    await buyer.work("payments.ask")
    assert await stand(buyer) == ("open", "failed", "late")
    assert await booked(buyer) == SALE | {
        "receivable": 3000,
        "payments:stripe": 1000,
        "owed_to_shoppers": -1000,
    }
    await buyer.refund()
    assert await buyer.rows("SELECT captured, refunded FROM payments WHERE store_id = :store") == [
        (1000, 1000)
    ]
    assert (await run("cancel", await number(buyer), "--reason", "A part")).exit_code == 0
    assert await booked(buyer) == SALE | {"cancellations": 3000}
    await buyer.check_books(orders=1, stock=(5, 0))


async def test_another_sum_that_is_held_places_no_order_and_is_let_go(buyer: Buyer):
    buyer.stripe.fail("confirm", "cut")
    assert (await buyer.pay()).status_code == 202
    intent = await buyer.intent()
    intent["amount_capturable"] = 1
    await buyer.reconcile()
    assert await buyer.rows("SELECT state, reason FROM payments WHERE store_id = :store") == [
        ("declined", "another_sum")
    ]
    await do_held(buyer, VOID)
    assert intent["status"] == "canceled"
    await buyer.check_books(orders=0, stock=(5, 0))


async def test_a_bank_that_lets_go_first_leaves_the_order_unpaid_until_it_is_cancelled(buyer: Buyer, run):
    assert (await buyer.pay()).status_code == 204
    intent = await buyer.intent()
    buyer.stripe.let_go(intent["id"])
    (event,) = buyer.stripe.events_of(intent["id"], "payment_intent.canceled")
    for _ in range(2):
        assert (await buyer.send(event)).status_code == 200
    assert await stand(buyer) == ("open", "failed", "cancelled")
    assert (await timeline(buyer))[-1] == "authorization_over"
    assert (await run("capture", await number(buyer))).exit_code == 1
    assert (await run("ship", await number(buyer), "--carrier", "Alpine Post")).exit_code == 0
    with pytest.raises(GiveUp, match="on its way"):
        await do_held(buyer, ENDS)
    assert await booked(buyer) == SALE | {"receivable": 3000}
    await buyer.check_books(orders=1, stock=(4, 0))


async def test_what_is_held_for_an_attempt_that_was_given_up_is_let_go(buyer: Buyer):
    await buyer.guest.call("POST", f"/checkout/{buyer.guest.token}/payment/stripe", {})
    intent = await buyer.intent()
    assert (await buyer.pay()).status_code == 204
    # The bank had said yes to the first one all the same.
    intent["status"] = "requires_payment_method"
    assert buyer.stripe.pay_on_page(intent["client_secret"], "pm_card_visa") == "requires_capture"
    (event,) = buyer.stripe.events_of(intent["id"], "payment_intent.amount_capturable_updated")
    assert (await buyer.send(event)).status_code == 200
    await do_held(buyer, VOID)
    assert intent["status"] == "canceled"
    states = await buyer.rows("SELECT state FROM payments WHERE store_id = :store ORDER BY attempt")
    assert states == [("declined",), ("authorized",)]
    await buyer.check_books(orders=1, stock=(4, 0))


@pytest.mark.parametrize("end", ["ship", "cancel"])
async def test_a_gift_card_pays_at_once_what_it_pays_and_only_the_rest_is_held(
    buyer: Buyer, run, sessions, end
):
    code, _ = await add_gift_card(sessions, buyer.guest.store, 1000)
    put = await buyer.guest.call("PUT", f"/checkout/{buyer.guest.token}/gift-card", {"code": code})
    assert put.json()["totals"]["due"] == 2000
    paid = await buyer.guest.pay(2000, service="stripe", payment_token="pm_card_visa")
    assert paid.status_code == 204, paid.text
    assert await booked(buyer) | {"receivable": 2000} == await booked(buyer)
    assert await buyer.rows("SELECT balance, held FROM gift_cards WHERE store_id = :store") == [(0, 0)]
    order_id = int(paid.headers["location"].rpartition("/")[2])
    assert (await buyer.guest.read_order(order_id)).json()["payment_status"] == "authorized"
    ways = {"ship": ("--carrier", "Alpine Post"), "cancel": ("--reason", "Gone")}
    assert (await run(end, await number(buyer), *ways[end])).exit_code == 0
    await do_held(buyer, {"ship": CAPTURE, "cancel": VOID}[end])
    order = (await buyer.guest.read_order(order_id)).json()
    assert {one["service"]: one["status"] for one in order["payments"]} == {
        "stripe": "paid" if end == "ship" else "failed",
        "gift_card": "paid",
    }
    left = await buyer.rows("SELECT balance, held FROM gift_cards WHERE store_id = :store")
    assert (order["payment_status"], left) == {
        "ship": ("paid", [(0, 0)]),
        "cancel": ("failed", [(1000, 0)]),
    }[end]
