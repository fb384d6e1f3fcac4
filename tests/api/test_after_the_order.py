"""What becomes of an order: shipped in parcels, cancelled with everything back once, refunded and never too much."""

import asyncio

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from app.cli import main
from app.db.audit import run_audit
from app.db.session import transaction
from app.domain.checkout.cancelling import cancel_order, refund_order
from app.domain.orders.shipping import ship_order
from app.kit.clock import utc_now
from app.kit.errors import Conflict, Invalid
from tests.api.after_order import REASON, Bought, buy, forget_jobs, rows, set_store, stock_of, work_off
from tests.conftest import make_store
from tests.people import join
from tests.shop import ADDRESS, Guest, add_promotion, add_variant, settings_for


@pytest.fixture
async def bought(guest: Guest, sessions) -> Bought:
    await forget_jobs(sessions)
    await set_store(sessions, guest.store)
    return await buy(guest, sessions)


@pytest.fixture
def work(database_url, redis_url, tmp_path):
    settings = settings_for(database_url, redis_url, STOREFRONT_SHOP_URL="https://shop.example")

    async def run():
        return await work_off(settings, tmp_path)

    return run


@pytest.fixture
def run(database_url, tmp_path_factory, store):
    async def invoke(*arguments: str, code: str = "") -> Result:
        environ = {"DATABASE_URL": database_url, "STOREFRONT_DATA_DIR": str(tmp_path_factory.mktemp("data"))}
        called = ["order", *arguments, "--store", code or store.code]
        result = await asyncio.to_thread(CliRunner(env=environ).invoke, main, called)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


def subjects(mails) -> list[str]:
    return [mail["Subject"] for mail in mails]


def events(order: dict) -> list[str]:
    return [entry["event"] for entry in order["timeline"]]


async def test_a_parcel_is_tracked_mailed_and_moves_the_order_on(bought: Bought, run, work):
    await work()
    assert (await bought.call("GET", "/tracking")).json() == {"parcels": []}
    shipped = ("--carrier", "Alpine Post", "--tracking", "AP 314", "--url", "https://carrier.example/AP314")
    told = await run("ship", bought.number, *shipped, "--line", "1=2")
    assert (told.exit_code, told.output) == (0, f"{bought.number}: partial\n")
    (parcel,) = (await bought.call("GET", "/tracking")).json()["parcels"]
    assert (parcel["carrier"], parcel["number"], parcel["status"]) == ("Alpine Post", "AP 314", "shipped")
    assert [entry["text"] for entry in parcel["events"]] == ["Shipped"]
    (mail,) = await work()
    assert mail["Subject"] == f"Your order {bought.number} is on its way"
    body = mail.get_body(("plain",)).get_content()
    for words in ("Enamel mug", "AP 314", "https://carrier.example/AP314", "parcel of its own"):
        assert words in body
    assert (await run("ship", bought.number[1:], "--carrier", "Alpine Post")).output.endswith("fulfilled\n")
    order = (
        await bought.buyer.call(
            "GET", f"/orders/{bought.id}?expand=fulfilment", **{"X-Checkout-Token": bought.buyer.token}
        )
    ).json()
    assert (order["status"], order["fulfilment_status"]) == ("completed", "fulfilled")
    assert [[line["quantity"] for line in one["items"]] for one in order["fulfilment"]["parcels"]] == [
        [2],
        [1],
    ]
    assert events(order)[-3:] == ["shipped", "shipped", "completed"]


async def test_an_order_of_what_needs_no_parcel_is_completed_once_staff_have_handed_it_over(
    guest: Guest, sessions, run
):
    voucher = await add_variant(sessions, guest.store, price=1000, requires_shipping=False)
    await guest.add(voucher, 2)
    await guest.open_checkout()
    ada = {"email": guest.email, "shipping_address": ADDRESS}
    assert (await guest.call("PUT", f"/checkout/{guest.token}/customer", ada)).status_code == 200
    paid = await guest.pay(2000)
    order_id = int(paid.headers["location"].rpartition("/")[2])
    number = (await guest.read_order(order_id)).json()["number"]
    assert (await run("ship", number, "--carrier", "E-mail")).output == f"{number}: fulfilled\n"
    assert (await guest.read_order(order_id)).json()["status"] == "completed"
    assert (await run("ship", number, "--carrier", "E-mail")).exit_code != 0


async def test_staff_see_where_an_order_goes_and_what_its_buyer_wrote(guest: Guest, sessions, run):
    mug = await add_variant(sessions, guest.store, price=1000)
    await guest.add(mug)
    said = {"note": "Ring twice\x1b[2J\nplease", "attributes": [{"name": "Engraving", "value": "Ada"}]}
    await guest.call("PUT", "/cart", {"cart_uuid": guest.cart_uuid, **said})
    checkout = await guest.prepare(mug)
    paid = await guest.pay(checkout["totals"]["total"])
    order = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
    rows = (await run("show", order["number"])).output.splitlines()
    assert "  ships by Parcel" in rows
    country = order["shipping_address"]["country"]
    place = f"12 Mill Lane, Portland, Oregon, 97201, {country}, +15035550123"
    assert f"  goes to Ada Berg, {place}" in rows
    assert "  note: Ring twice [2J please" in rows
    assert "  Engraving: Ada" in rows


async def test_no_more_units_are_shipped_than_were_bought_even_at_once(bought: Bought, run, sessions):
    ((line,),) = await rows(sessions, "SELECT id FROM order_lines WHERE order_id = :id", id=bought.id)

    async def ship() -> str:
        async with transaction(sessions) as session:
            await ship_order(
                session,
                bought.buyer.store.id,
                bought.id,
                quantities={line: 2},
                carrier="Alpine Post",
                number=None,
                url=None,
                now=utc_now(),
            )
        return ""

    told = await asyncio.gather(*(ship() for _ in range(5)), return_exceptions=True)
    assert sorted(getattr(one, "code", "") for one in told) == ["", *["nothing_to_ship"] * 4]
    assert await rows(sessions, "SELECT shipped FROM order_lines WHERE order_id = :id", id=bought.id) == [
        (2,)
    ]
    for line in ("1=2", "2=1", "1=0"):
        refused = await run("ship", bought.number, "--carrier", "Alpine Post", "--line", line)
        assert refused.exit_code != 0, line
        assert "Traceback" not in refused.output
    assert (await run("ship", bought.number, "--carrier", "A", "--url", "javascript:alert(1)")).exit_code == 1
    assert (await run("ship", "#999999", "--carrier", "A")).exit_code == 1


async def test_a_cancelled_order_gives_money_stock_and_coupon_back_once(
    guest: Guest, sessions, reads, run, work
):
    await forget_jobs(sessions)
    await add_promotion(sessions, guest.store, "TEN", max_uses=1)
    bought = await buy(guest, sessions, coupon="TEN")
    assert await stock_of(sessions, bought.variant) == (7, 0)
    assert await rows(sessions, "SELECT uses FROM promotions WHERE store_id = :id", id=guest.store.id) == [
        (1,)
    ]
    await work()
    cancel = ("cancel", bought.number, "--reason", "Sold out after all")
    assert (await run(*cancel)).output == f"{bought.number}: cancelled\n"
    assert (await run(*cancel)).output == f"{bought.number}: was cancelled before\n"
    mails = await work()
    assert subjects(mails) == [f"Your order {bought.number} was cancelled", "We have sent $32.00 back to you"]
    assert await stock_of(sessions, bought.variant) == (10, 0)
    assert await rows(sessions, "SELECT uses FROM promotions WHERE store_id = :id", id=guest.store.id) == [
        (0,)
    ]
    order = await bought.read()
    assert (order["status"], order["payment_status"]) == ("cancelled", "refunded")
    assert order["refunds"] == [{"payment_id": order["payments"][0]["id"], "amount": 3200, "currency": "USD"}]
    assert order["cancellation"] == {"status": "accepted", "reason": "Sold out after all", "note": ""}
    assert await work() == []
    assert await run_audit(reads, utc_now(), store_id=guest.store.id) == []


async def test_an_unpaid_order_that_is_cancelled_is_no_longer_owed(guest: Guest, sessions, reads, run, work):
    await forget_jobs(sessions)
    bought = await buy(guest, sessions, service="manual")
    await work()
    assert (await run("cancel", bought.number, "--reason", REASON)).exit_code == 0
    (mail,) = await work()
    assert "nothing left to pay" in mail.get_body(("plain",)).get_content()
    order = await bought.read()
    assert (order["status"], order["payment_status"], order["refunds"]) == ("cancelled", "failed", [])
    owed = "SELECT sum(amount)::bigint FROM ledger_entries WHERE account = 'receivable' AND order_id = :id"
    assert await rows(sessions, owed, id=bought.id) == [(0,)]
    assert await stock_of(sessions, bought.variant) == (10, 0)
    assert await run_audit(reads, utc_now(), store_id=guest.store.id) == []


async def test_what_is_on_its_way_is_not_cancelled(bought: Bought, run):
    assert (await run("ship", bought.number, "--carrier", "Alpine Post", "--line", "1=1")).exit_code == 0
    refused = await run("cancel", bought.number, "--reason", REASON)
    assert (refused.exit_code, "on its way" in refused.output) == (1, True)
    asked = await bought.call("POST", "/cancellation", {"reason": REASON, "note": ""})
    assert (asked.status_code, asked.json()["code"]) == (409, "order_shipped")


async def test_an_order_of_which_a_part_was_paid_back_is_completed_with_its_last_parcel(
    bought: Bought, run, work
):
    await run("refund", bought.number, "1.00", "--reason", "Late")
    await work()
    assert (await run("ship", bought.number, "--carrier", "Alpine Post")).output.endswith("fulfilled\n")
    order = await bought.read()
    assert (order["status"], order["payment_status"]) == ("completed", "partially_refunded")


async def test_a_part_and_then_the_rest_is_refunded_and_never_more(bought: Bought, run, work, reads):
    await work()
    assert (await run("refund", bought.number, "10.00", "--reason", "Scratched")).output.endswith(
        "10.00 USD goes back\n"
    )
    (mail,) = await work()
    assert mail["Subject"] == "We have sent $10.00 back to you"
    assert (await bought.read())["payment_status"] == "partially_refunded"
    for amount in ("25.01", "0", "-1", "nonsense"):
        refused = await run("refund", bought.number, amount, "--reason", "Scratched")
        assert refused.exit_code != 0, amount
        assert "Traceback" not in refused.output
    assert (await run("refund", bought.number, "--reason", "Scratched")).output.endswith(
        "25.00 USD goes back\n"
    )
    await work()
    order = await bought.read()
    assert (order["status"], order["payment_status"]) == ("open", "refunded")
    assert events(order).count("refunded") == 2
    assert await run_audit(reads, utc_now(), store_id=bought.buyer.store.id) == []


async def test_units_of_a_line_are_paid_back_once_and_named_to_the_buyer(
    bought: Bought, run, work, sessions, reads
):
    await work()
    told = await run("refund", bought.number, "--line", "1=2", "--reason", "Scratched")
    assert told.output == f"{bought.number}: 20.00 USD goes back\n", told.output
    (mail,) = await work()
    assert "2 \N{MULTIPLICATION SIGN} Enamel mug" in mail.get_body(("plain",)).get_content()
    assert mail["Subject"] == "We have sent $20.00 back to you"
    for wrong in (("--line", "1=2"), ("--line", "2=1"), ("--line", "1=0"), ("--line", "1=1", "5.00")):
        refused = await run("refund", bought.number, *wrong, "--reason", "x")
        assert refused.exit_code != 0, wrong
        assert "Traceback" not in refused.output
    (line,) = await rows(sessions, "SELECT id FROM order_lines WHERE order_id = :id", id=bought.id)

    async def refund_one() -> int:
        async with transaction(sessions) as session:
            made = await refund_order(
                session,
                bought.buyer.store.id,
                bought.id,
                amount=None,
                reason="x",
                units={line[0]: 1},
                now=utc_now(),
            )
        return sum(one.amount for one in made)

    at_once = await asyncio.gather(*(refund_one() for _ in range(5)), return_exceptions=True)
    assert [one for one in at_once if isinstance(one, int)] == [1000]
    assert {one.code for one in at_once if isinstance(one, Invalid)} == {"nothing_to_refund"}
    await work()
    order = await bought.read()
    assert (order["payment_status"], order["refunds"][0]["amount"]) == ("partially_refunded", 3000)
    noted = [entry["detail"] for entry in order["timeline"] if entry["event"] == "refund_ordered"]
    assert noted == ["2 x Enamel mug - Cream: 20.00 USD", "1 x Enamel mug - Cream: 10.00 USD"]
    assert ", 3 paid back, 3 not to be shipped\n" in (await run("show", bought.number)).output
    assert await run_audit(reads, utc_now(), store_id=bought.buyer.store.id) == []


async def test_units_paid_back_before_they_are_shipped_stay_here_and_are_on_stock_if_staff_say_so(
    bought: Bought, run, work, sessions, reads
):
    async def refund(*named: str) -> None:
        assert (await run("refund", bought.number, *named, "--reason", "Scratched")).exit_code == 0

    assert (await run("refund", bought.number, "1.00", "--restock", "--reason", "x")).exit_code == 2
    await refund("--line", "1=1", "--restock")
    assert await stock_of(sessions, bought.variant) == (8, 0)
    assert "restocked" in events(await bought.read())
    assert ", 1 paid back, 1 not to be shipped\n" in (await run("show", bought.number)).output
    assert (await run("ship", bought.number, "--carrier", "Post", "--line", "1")).output.endswith("partial\n")
    # One is shipped, one is paid back, and with the last one that is paid back nothing is left to be shipped.
    await refund("--line", "1=1")
    order = await bought.read()
    assert (order["status"], order["fulfilment_status"]) == ("completed", "fulfilled")
    assert (await run("ship", bought.number, "--carrier", "Post")).exit_code != 0
    # Whoever names the line can still send what stayed here, but not what is on stock again.
    refused = await run("ship", bought.number, "--carrier", "Post", "--line", "1=2")
    assert (refused.exit_code, "on stock again" in refused.output) == (1, True)
    assert (await run("ship", bought.number, "--carrier", "Post", "--line", "1=1")).exit_code == 0
    # What was shipped and came back: paid back, and on stock.
    await refund("--line", "1=1", "--restock")
    assert await stock_of(sessions, bought.variant) == (9, 0)
    assert (await run("ship", bought.number, "--carrier", "Post", "--line", "1=1")).exit_code == 1
    await work()
    assert await run_audit(reads, utc_now(), store_id=bought.buyer.store.id) == []


async def test_what_was_paid_back_and_is_not_on_stock_goes_where_its_line_is_named(bought: Bought, run):
    await run("refund", bought.number, "--line", "1=1", "--reason", "Late, and a gift")
    shipped = await run("ship", bought.number, "--carrier", "Post", "--line", "1=3")
    assert shipped.output.endswith("fulfilled\n")


async def test_what_was_shipped_and_came_back_keeps_nothing_from_being_shipped(
    bought: Bought, run, work, sessions, reads
):
    async def ship(units: int) -> Result:
        return await run("ship", bought.number, "--carrier", "Post", "--line", f"1={units}")

    back = ("refund", bought.number, "--line", "1=1", "--restock", "--reason", "x")
    assert (await run(*back, "--sent-back")).exit_code == 1, "nothing was shipped yet"
    assert (await run("refund", bought.number, "1.00", "--sent-back", "--reason", "x")).exit_code == 2
    await ship(1)
    assert (await run(*back, "--sent-back")).exit_code == 0
    assert (await run(*back, "--sent-back")).exit_code == 1, "only one was shipped"
    assert await stock_of(sessions, bought.variant) == (8, 0)
    assert (await ship(1)).output.endswith("partial\n"), "it is another one"
    assert (await run(*back)).exit_code == 0
    refused = await ship(1)
    assert (refused.exit_code, "on stock again" in refused.output) == (1, True)
    assert await stock_of(sessions, bought.variant) == (9, 0)
    assert ", 2 shipped, 2 paid back, 1 not to be shipped\n" in (await run("show", bought.number)).output
    assert (await bought.read())["fulfilment_status"] == "fulfilled"
    await work()
    assert await run_audit(reads, utc_now(), store_id=bought.buyer.store.id) == []


async def test_what_was_restocked_before_an_order_is_cancelled_comes_back_no_second_time(
    bought: Bought, run, work, sessions, reads
):
    await run("refund", bought.number, "--line", "1=2", "--restock", "--reason", "x")
    assert (await run("cancel", bought.number, "--reason", "x")).exit_code == 0
    assert await stock_of(sessions, bought.variant) == (10, 0)
    await work()
    assert (await bought.read())["payment_status"] == "refunded"
    assert await run_audit(reads, utc_now(), store_id=bought.buyer.store.id) == []


async def test_parallel_refunds_together_never_exceed_what_was_captured(
    bought: Bought, sessions, work, reads
):
    async def refund() -> int:
        async with transaction(sessions) as session:
            made = await refund_order(
                session, bought.buyer.store.id, bought.id, amount=1000, reason="Scratched", now=utc_now()
            )
        return sum(one.amount for one in made)

    told = await asyncio.gather(*(refund() for _ in range(10)), return_exceptions=True)
    assert sum(one for one in told if isinstance(one, int)) == 3000
    assert {one.code for one in told if isinstance(one, Conflict)} == {"refund_too_large"}
    await work()
    assert (await bought.read())["refunds"][0]["amount"] == 3000
    assert await run_audit(reads, utc_now(), store_id=bought.buyer.store.id) == []


async def test_a_refund_whose_answer_was_lost_is_made_once(bought: Bought, sessions, work):
    async with transaction(sessions) as session:
        await refund_order(session, bought.buyer.store.id, bought.id, amount=None, reason="x", now=utc_now())
    await work()
    # As if the process had died after the call, before it could write down what the service said.
    ours = "payment_id IN (SELECT id FROM payments WHERE order_id = :id)"
    async with transaction(sessions) as session:
        await session.execute(
            text(f"UPDATE refund_orders SET state = 'wanted' WHERE {ours}"), {"id": bought.id}
        )
        await session.execute(text("UPDATE jobs SET state = 'queued' WHERE kind = 'payments.make_refund'"))
    assert await work() == []
    order = await bought.read()
    assert (order["refunds"][0]["amount"], events(order).count("refunded")) == (3500, 1)
    assert await rows(sessions, f"SELECT state FROM refund_orders WHERE {ours}", id=bought.id) == [("made",)]


async def test_a_wish_to_cancel_waits_for_the_shop_and_can_be_taken_back(bought: Bought, run):
    body = {"reason": REASON, "note": "Ordered twice"}
    for _ in range(2):
        asked = await bought.call("POST", "/cancellation", body)
        assert asked.status_code == 200, asked.text
        assert asked.json()["cancellation"] == {
            "status": "requested",
            "reason": REASON,
            "note": "Ordered twice",
        }
    assert events(await bought.read()).count("cancellation_requested") == 1
    held = await run("ship", bought.number, "--carrier", "Alpine Post")
    assert (held.exit_code, "decide on that first" in held.output) == (1, True)
    for _ in range(2):
        assert (await bought.call("DELETE", "/cancellation")).status_code == 204
    assert (await bought.read())["cancellation"] is None
    assert (await run("ship", bought.number, "--carrier", "Alpine Post")).exit_code == 0


async def test_the_shop_grants_a_wish_or_refuses_it_for_good(guest: Guest, sessions, run):
    await set_store(sessions, guest.store)
    body = {"reason": REASON, "note": "Ordered twice"}
    granted, refused = await buy(guest, sessions), None
    await granted.call("POST", "/cancellation", body)
    assert (await run("cancel", granted.number, "--reason", "As asked")).exit_code == 0
    order = await granted.read()
    assert (order["status"], order["cancellation"]["status"]) == ("cancelled", "accepted")
    assert order["cancellation"]["note"] == "Ordered twice"
    assert (await granted.call("DELETE", "/cancellation")).json()["code"] == "cancellation_decided"
    refused = await buy(Guest(guest.client, guest.store, guest.option_id), sessions)
    assert (await run("keep", refused.number, "--note", "It is packed")).exit_code == 1
    await refused.call("POST", "/cancellation", body)
    assert (await run("keep", refused.number, "--note", "It is packed")).exit_code == 0
    assert (await refused.read())["status"] == "open"
    for method in ("POST", "DELETE"):
        again = await refused.call(method, "/cancellation", body if method == "POST" else None)
        assert (again.status_code, again.json()["code"]) == (409, "cancellation_decided"), method


async def test_a_store_that_allows_it_cancels_at_once(guest: Guest, sessions, work, reads):
    await forget_jobs(sessions)
    await set_store(sessions, guest.store, orders={"cancel_at_once": True})
    bought = await buy(guest, sessions)
    # The running server keeps a store's settings for a moment: what counts is what it does with them.
    answers = [await bought.call("POST", "/cancellation", {"reason": REASON, "note": "n"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].json()["status"] == "cancelled"
    await work()
    assert (await bought.read())["payment_status"] == "refunded"
    assert await stock_of(sessions, bought.variant) == (10, 0)
    assert await run_audit(reads, utc_now(), store_id=guest.store.id) == []


async def test_a_wish_names_a_reason_of_the_store_and_its_key_repeats_the_answer(bought: Bought):
    wrong = await bought.call("POST", "/cancellation", {"reason": "no such reason", "note": "n"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "reason")
    key = {"Idempotency-Key": "cancel-this-order-once-please"}
    first = await bought.call("POST", "/cancellation", {"reason": REASON, "note": ""}, **key)
    again = await bought.call("POST", "/cancellation", {"reason": REASON, "note": ""}, **key)
    assert (again.headers.get("idempotency-replayed"), again.json()) == ("true", first.json())
    other = await bought.call("POST", "/cancellation", {"reason": REASON, "note": "x"}, **key)
    assert other.json()["code"] == "idempotency_mismatch"


async def test_a_strangers_order_is_not_there(bought: Bought, guest: Guest, sessions, redis_url):
    stranger = await join(guest, sessions, redis_url)
    for method, path, body in (
        ("GET", "/tracking", None),
        ("POST", "/cancellation", {"reason": REASON, "note": ""}),
        ("DELETE", "/cancellation", None),
    ):
        for headers in ({}, {"X-Checkout-Token": "no-such-token"}):
            answer = await stranger.call(method, f"/orders/{bought.id}{path}", body, **headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "order_not_found"), (method, headers)
    assert (await bought.read())["cancellation"] is None


async def test_staff_see_an_order_of_their_own_store_only(bought: Bought, run, sessions):
    shown = (await run("show", bought.number)).output
    for words in (
        bought.number,
        "3 x Enamel mug - Cream  ",
        "total 35.00 USD",
        "payment by test: captured",
        "placed",
    ):
        assert words in shown
    other = await make_store(sessions)
    for command in (
        ("show",),
        ("cancel", "--reason", "x"),
        ("ship", "--carrier", "x"),
        ("refund", "--reason", "x"),
    ):
        result = await run(command[0], bought.number, *command[1:], code=other.code)
        assert (result.exit_code, "no such order" in result.output) == (1, True), command


async def test_cancelling_again_in_the_same_moment_moves_nothing_twice(bought: Bought, sessions):
    async def cancel() -> bool:
        async with transaction(sessions) as session:
            return await cancel_order(
                session, bought.buyer.store.id, bought.id, reason="x", note="", now=utc_now()
            )

    assert sorted(await asyncio.gather(*(cancel() for _ in range(8)))) == [False] * 7 + [True]
    assert await stock_of(sessions, bought.variant) == (10, 0)
    assert await rows(
        sessions,
        "SELECT count(*) FROM refund_orders r JOIN payments p ON p.id = r.payment_id WHERE p.order_id = :id",
        id=bought.id,
    ) == [(1,)]
