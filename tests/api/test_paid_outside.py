"""Money that comes in outside of any service: booked once, never beyond what is owed, and back by people's hands."""

import asyncio
from dataclasses import dataclass

import pytest
from sqlalchemy import text

from app.db.audit import run_audit
from app.db.session import transaction
from app.domain.checkout.cancelling import cancel_order
from app.domain.checkout.receipts import Receipt, book_receipt
from app.kit.clock import utc_now
from app.kit.errors import Conflict
from tests.api.after_order import forget_jobs, work_off
from tests.people import join
from tests.shop import Guest, add_gift_card, add_variant, settings_for

TOTAL = 3500


@dataclass
class Placed:
    """An order of three mugs at 10.00 with shipping at 5.00, to be paid by bank transfer."""

    buyer: Guest
    id: int
    number: str

    async def read(self) -> dict:
        return (await self.buyer.read_order(self.id)).json()

    async def status(self) -> tuple[str, str]:
        order = await self.read()
        return order["status"], order["payment_status"]


async def place(buyer: Guest, sessions, *, card: int = 0) -> Placed:
    buyer.cart_uuid = ""
    checkout = await buyer.prepare(await add_variant(sessions, buyer.store, price=1000, on_hand=10), 3)
    due = checkout["totals"]["due"]
    if card:
        code, _ = await add_gift_card(sessions, buyer.store, card)
        put = await buyer.call("PUT", f"/checkout/{buyer.token}/gift-card", {"code": code})
        due = put.json()["totals"]["due"]
    paid = await buyer.pay(due, service="manual", payment_token="")
    assert paid.status_code == 204, paid.text
    order_id = int(paid.headers["location"].rpartition("/")[2])
    return Placed(buyer, order_id, (await buyer.read_order(order_id)).json()["number"])


@pytest.fixture
async def placed(guest: Guest, sessions, reads):
    """In the end the books must add up."""
    await forget_jobs(sessions)
    yield await place(guest, sessions)
    assert await run_audit(reads, utc_now(), store_id=guest.store.id) == []


@pytest.fixture
def work(database_url, redis_url, tmp_path):
    settings = settings_for(database_url, redis_url, STOREFRONT_SHOP_URL="https://shop.example")

    async def mails() -> list[str]:
        return [
            f"{mail['Subject']}\n{mail.get_body(('plain',)).get_content()}"
            for mail in await work_off(settings, tmp_path)
        ]

    return mails


async def rows(sessions, query: str, **values) -> list[tuple]:
    async with sessions() as session:
        return [tuple(row) for row in await session.execute(text(query), values)]


async def booked(sessions, placed: Placed) -> dict[str, int]:
    found = await rows(
        sessions,
        "SELECT account, sum(amount)::bigint FROM ledger_entries WHERE order_id = :id "
        "GROUP BY account HAVING sum(amount) <> 0",
        id=placed.id,
    )
    return {account: amount for account, amount in found if account not in ("sales", "shipping")}


async def test_what_comes_in_is_booked_once_in_parts_and_completes_the_order(placed: Placed, sessions, run):
    assert (await run("order", "ship", placed.number, "--carrier", "Alpine Post")).exit_code == 0
    assert await placed.status() == ("open", "pending")
    number = placed.number
    said = (
        ("20.00", "A 1", "20.00 USD booked, 15.00 USD still owed"),
        ("20.00", "A 1", "20.00 USD was booked before, and is not booked again, 15.00 USD still owed"),
        ("", " A 1 ", "20.00 USD was booked before, and is not booked again, 15.00 USD still owed"),
        ("5.00", "", "5.00 USD booked, 10.00 USD still owed"),
        ("5.00", "", "name its --reference"),
        ("5.00", "A 2", "5.00 USD booked, 5.00 USD still owed"),
    )
    for amount, reference, words in said:
        how = (*(("--amount", amount) if amount else ()), *(("--reference", reference) if reference else ()))
        told = await run("order", "paid", number, *how)
        assert (told.exit_code, words in told.output) == (0, True), (how, told.output)
    refused = (
        (("--amount", "21.00", "--reference", "A 1"), "with another amount"),
        (("--amount", "5.01"), "more than is still owed"),
        (("--amount", "0"), "more than nothing"),
        (("--amount", "x"), "no amount"),
    )
    for how, words in refused:
        told = await run("order", "paid", number, *how)
        assert (told.exit_code > 0, words in told.output) == (True, True), (how, told.output)
    assert await placed.status() == ("open", "partially_paid")
    assert await booked(sessions, placed) == {"payments:manual": 3000, "receivable": 500}
    told = await run("order", "show", number)
    for words in ("manual (A 1): captured, 20.00 USD", "manual: pending, 0.00 USD, 5.00 USD owed"):
        assert words in told.output, told.output

    assert (
        await run("order", "paid", number)
    ).output == f"{number}: 5.00 USD booked, nothing is owed any more\n"
    for how, code in (
        ((), 0),
        (("--reference", "A 1"), 0),
        (("--reference", "A 3"), 1),
        (("--amount", "1"), 1),
    ):
        assert (await run("order", "paid", number, *how)).exit_code == code, how
    order = await placed.read()
    assert (order["status"], order["payment_status"]) == ("completed", "paid")
    assert [entry["event"] for entry in order["timeline"]][1:] == [
        "shipped",
        *["partially_paid"] * 3,
        "paid",
        "completed",
    ]
    assert await booked(sessions, placed) == {"payments:manual": TOTAL}
    assert (await run("order", "paid", "999999")).exit_code == 1


async def test_refunds_are_booked_at_once_and_are_for_people_to_pay_out(
    placed: Placed, sessions, run, work, guest, redis_url
):
    number = placed.number
    for amount in ("20.00", "15.00"):
        assert (await run("order", "paid", number, "--amount", amount)).exit_code == 0
    await work()
    told = await run("order", "refund", number, "22.00", "--reason", "Scratched")
    assert told.output == (
        f"{number}: 22.00 USD goes back\nTo be paid out by you: 22.00 USD, which no service took.\n"
    )
    assert await placed.status() == ("open", "partially_refunded")
    assert await booked(sessions, placed) == {"payments:manual": 1300, "refunds": 2200}
    mails = await work()
    assert [mail.partition("\n")[0] for mail in mails] == [
        "We pay $20.00 back to you",
        "We pay $2.00 back to you",
    ]
    assert "we pay $20.00 back to you" in mails[0]
    assert (await run("order", "refund", number, "13.01", "--reason", "x")).exit_code == 1
    refused = await run("order", "refund", number, "1.00", "--reason", "x", "--to-credit")
    assert (refused.exit_code, "needs an account" in refused.output) == (1, True)
    assert (await run("order", "refund", number, "--reason", "Gone")).exit_code == 0
    assert await placed.status() == ("open", "refunded")
    assert await rows(sessions, "SELECT 1 FROM jobs WHERE kind = 'payments.make_refund'") == []

    member = await join(guest, sessions, redis_url)
    theirs = await place(member, sessions)
    assert (await run("order", "paid", theirs.number)).exit_code == 0
    told = await run("order", "refund", theirs.number, "5.00", "--reason", "x", "--to-credit")
    assert told.output == f"{theirs.number}: 5.00 USD goes back\n"
    assert (await member.call("GET", "/customer/store-credit")).json()["balance"] == 500


async def test_a_cancelled_order_gives_back_what_came_in_and_owes_no_more(placed: Placed, sessions, run):
    assert (await run("order", "paid", placed.number, "--amount", "20")).exit_code == 0
    told = await run("order", "cancel", placed.number, "--reason", "Sold out")
    assert "To be paid out by you: 20.00 USD" in told.output
    assert await booked(sessions, placed) == {"refunds": 2000, "cancellations": 1500}
    for how in ((), ("--amount", "20")):
        refused = await run("order", "paid", placed.number, *how)
        assert (refused.exit_code, "was cancelled" in refused.output) == (1, True)
    assert await placed.status() == ("cancelled", "failed")


async def test_only_orders_that_wait_for_it_are_paid_outside(placed: Placed, sessions, run, guest, redis_url):
    """One that a service took; one of which a card paid a part; and the reward for a customer's first paid order."""
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    paid = await guest.pay(checkout["totals"]["due"])
    by_card = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()["number"]
    refused = await run("order", "paid", by_card)
    assert (refused.exit_code, "outside of the shop's services" in refused.output) == (1, True)

    member = await join(guest, sessions, redis_url)
    theirs = await place(member, sessions, card=1000)
    assert await theirs.status() == ("open", "partially_paid")
    heard = "SELECT count(*) FROM jobs WHERE kind = 'accounts.order_paid' AND dedupe_key = :key"
    for times, how in ((0, ("--amount", "10")), (1, ()), (1, ())):
        assert (await run("order", "paid", theirs.number, *how)).exit_code == 0
        assert await rows(sessions, heard, key=f"order-{theirs.id}") == [(times,)]
    assert await theirs.status() == ("open", "paid")


async def test_however_often_it_is_said_at_once_and_while_it_is_cancelled_the_books_add_up(
    placed: Placed, sessions, guest
):
    store = guest.store.id
    # How long a slow machine lets them wait for each other is not what this is about.
    patient = text("SET LOCAL lock_timeout = '20s'")

    async def receive(order: int, reference: str, amount: int | None) -> Receipt:
        async with transaction(sessions) as session:
            await session.execute(patient)
            return await book_receipt(
                session, store, order, amount=amount, reference=reference, now=utc_now()
            )

    async def cancel(order: int) -> bool:
        async with transaction(sessions) as session:
            await session.execute(patient)
            return await cancel_order(session, store, order, reason="x", note="", now=utc_now())

    same = await asyncio.gather(*(receive(placed.id, "A", 1000) for _ in range(8)))
    assert sum(one.is_new for one in same) == 1
    others = await asyncio.gather(
        *(receive(placed.id, f"B{number}", 1000) for number in range(8)), return_exceptions=True
    )
    assert sum(isinstance(one, Receipt) for one in others) == 2
    assert {one.code for one in others if isinstance(one, Conflict)} == {"payment_too_large"}
    assert await booked(sessions, placed) == {"payments:manual": 3000, "receivable": 500}

    for turn in range(4):
        one = await place(guest, sessions)
        calls = [cancel(one.id), receive(one.id, "A", None), receive(one.id, "A", None), cancel(one.id)]
        said = await asyncio.gather(*(calls if turn % 2 else reversed(calls)), return_exceptions=True)
        assert {getattr(problem, "code", "") for problem in said} <= {"", "order_cancelled"}
        assert (await one.status())[0] == "cancelled"
        expected = {"refunds": TOTAL} if (await one.status())[1] == "refunded" else {"cancellations": TOTAL}
        assert await booked(sessions, one) == expected
