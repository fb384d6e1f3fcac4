"""A guest's way from the cart to a placed order, and what stands in the database afterwards."""

from typing import Any

import httpx
from sqlalchemy import text

from app.db.session import Sessions, transaction
from app.domain.stores.models import TaxRate
from tests.shop import ADDRESS, Guest, add_promotion, add_variant, agree_to


async def stock_of(sessions: Sessions, variant_id: int) -> tuple[int, int]:
    async with sessions() as session:
        row = await session.execute(
            text("SELECT on_hand, reserved FROM stock_items WHERE variant_id = :id"), {"id": variant_id}
        )
        found = row.one()
        return found.on_hand, found.reserved


async def test_a_guest_buys_with_the_test_service(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store, price=2500, on_hand=10)
    checkout = await guest.prepare(variant, 2)
    assert checkout["state"] == "priced"
    assert (
        checkout["totals"].items()
        >= {"items": 5000, "discount": 0, "shipping": 500, "tax": 0, "total": 5500}.items()
    )
    paid = await guest.pay(5500)
    assert paid.status_code == 204, paid.text
    order_id = int(paid.headers["location"].rpartition("/")[2])
    order = (await guest.read_order(order_id)).json()
    assert order["number"] == "#1001"
    assert (order["status"], order["payment_status"]) == ("open", "paid")
    assert order["total_price"] == 5500
    assert [event["event"] for event in order["timeline"]] == ["placed", "paid"]
    assert order["payments"] == [
        {"id": order["payments"][0]["id"], "service": "test", "status": "paid", "amount": 5500, "refunded": 0}
    ]
    assert await stock_of(sessions, variant) == (8, 0)
    cart = (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()
    assert cart["items"] == []
    assert cart["token"] == guest.cart_uuid
    again = await guest.pay(5500)
    assert (again.status_code, again.headers["location"]) == (204, paid.headers["location"])


async def test_manual_payment_places_the_order_and_owes_the_money(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store, price=1999, on_hand=3)
    await guest.prepare(variant)
    paid = await guest.pay(2499, service="manual", payment_token="")
    assert paid.status_code == 204, paid.text
    order = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
    assert (order["status"], order["payment_status"], order["paid_at"]) == ("open", "pending", None)
    assert await stock_of(sessions, variant) == (2, 0)
    async with sessions() as session:
        rows = await session.execute(
            text("SELECT account, amount FROM ledger_entries WHERE store_id = :id ORDER BY account"),
            {"id": guest.store.id},
        )
        assert [tuple(row) for row in rows] == [("receivable", 2499), ("sales", -1999), ("shipping", -500)]


async def test_a_declined_card_gives_the_stock_back_and_another_card_pays(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store, on_hand=1)
    checkout = await guest.prepare(variant)
    total = checkout["totals"]["total"]
    declined = await guest.pay(total, payment_token="decline")
    assert (declined.status_code, declined.json()["code"]) == (402, "payment_declined")
    assert await stock_of(sessions, variant) == (1, 0)
    assert (await guest.read_checkout())["state"] == "priced"
    assert (await guest.pay(total)).status_code == 204
    assert await stock_of(sessions, variant) == (0, 0)


async def test_after_a_declined_card_the_same_order_is_placed_at_once(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store, price=1999, on_hand=3)
    total = (await guest.prepare(variant))["totals"]["total"]
    assert (await guest.pay(total, payment_token="decline")).status_code == 402
    assert (await guest.pay(total, service="manual", payment_token="")).status_code == 204
    assert await stock_of(sessions, variant) == (2, 0)
    async with sessions() as session:
        placed = await session.execute(
            text(
                """
                SELECT o.status, o.number, c.state, c.order_id = o.id, c.frozen IS NOT NULL,
                    (SELECT count(*) FROM order_lines l WHERE l.order_id = o.id),
                    (SELECT array_agg(event ORDER BY id) FROM order_events e WHERE e.order_id = o.id),
                    (SELECT sum(amount) FROM ledger_entries e WHERE e.order_id = o.id AND account = 'receivable'),
                    (SELECT count(*) FROM cart_lines l WHERE l.cart_id = c.cart_id)
                FROM orders o JOIN checkouts c ON c.id = o.checkout_id WHERE o.store_id = :id
                """
            ),
            {"id": guest.store.id},
        )
        assert [tuple(row) for row in placed] == [
            ("open", 1001, "completed", True, True, 1, ["payment_declined", "placed"], total, 0)
        ]
        attempts = await session.execute(
            text("SELECT attempt, service, state FROM payments WHERE store_id = :id ORDER BY attempt"),
            {"id": guest.store.id},
        )
        assert [tuple(row) for row in attempts] == [(1, "test", "declined"), (2, "manual", "pending")]


async def test_the_second_step_holds_the_stock_until_it_is_answered(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store, on_hand=1)
    checkout = await guest.prepare(variant)
    total = checkout["totals"]["total"]
    asked = await guest.pay(total, payment_token="second_step")
    assert (asked.status_code, asked.json()["code"]) == (402, "second_step_required")
    assert await stock_of(sessions, variant) == (1, 1)
    assert (await guest.read_checkout())["state"] == "paying"
    edit = await guest.call(
        "PUT", f"/checkout/{guest.token}/shipping", {"shipping_option_id": guest.option_id}
    )
    assert (edit.status_code, edit.json()["code"]) == (409, "checkout_paying")
    unanswered = await guest.call("POST", f"/checkout/{guest.token}/payment/test/confirm", {})
    assert (unanswered.status_code, unanswered.json()["code"]) == (402, "second_step_required")
    url = asked.json()["next_step_url"]
    await agree_to(sessions, url)
    done = await guest.call("POST", f"/checkout/{guest.token}/payment/test/confirm", {})
    assert done.status_code == 200, done.text
    assert (done.json()["state"], done.json()["order"]["number"]) == ("completed", "#1001")
    assert await stock_of(sessions, variant) == (0, 0)


async def test_what_comes_into_the_cart_while_it_is_paid_stays_there(guest: Guest, sessions: Sessions):
    """Also what was given with the order, another code, and what is written anew."""
    bought = await add_variant(sessions, guest.store)
    given = await add_variant(sessions, guest.store, price=300)
    await add_promotion(sessions, guest.store, kind="gift", value=0, gift_variant_id=given, title="Mug")
    for code in ("FIRST", "SECOND"):
        await add_promotion(sessions, guest.store, code)
    await guest.add(bought)

    async def say(code: str, note: str) -> None:
        cart = {"cart_uuid": guest.cart_uuid}
        assert (await guest.call("POST", "/cart/coupon", {**cart, "code": code})).status_code == 200
        assert (await guest.call("PUT", "/cart", {**cart, "note": note})).status_code == 200

    await say("FIRST", "Ring twice.")
    checkout = await guest.prepare(bought)
    assert [(one["variant_id"], one["gift"]) for one in checkout["items"]] == [(bought, False), (given, True)]
    asked = await guest.pay(checkout["totals"]["total"], payment_token="second_step")
    assert asked.status_code == 402, asked.text
    for variant in (bought, given):
        assert (await guest.add(variant)).status_code == 200
    await say("SECOND", "Ring thrice.")
    await agree_to(sessions, asked.json()["next_step_url"])
    done = await guest.call("POST", f"/checkout/{guest.token}/payment/test/confirm", {})
    assert done.json()["state"] == "completed"
    cart = (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()
    assert [(line["variant_id"], line["quantity"]) for line in cart["items"]] == [(bought, 1), (given, 1)]
    assert (cart["note"], cart["coupon"]["code"]) == ("Ring thrice.", "SECOND")


async def test_another_card_takes_the_place_of_an_abandoned_second_step(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store, on_hand=1)
    checkout = await guest.prepare(variant)
    total = checkout["totals"]["total"]
    first = await guest.pay(total, payment_token="second_step")
    again = await guest.pay(total, payment_token="second_step")
    assert first.json()["next_step_url"] == again.json()["next_step_url"]
    paid = await guest.pay(total)
    assert paid.status_code == 204, paid.text
    order = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
    assert [payment["status"] for payment in order["payments"]] == ["failed", "paid"]
    assert await stock_of(sessions, variant) == (0, 0)


async def test_an_abandoned_step_that_was_paid_after_all_is_the_payment(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store, on_hand=1)
    checkout = await guest.prepare(variant)
    total = checkout["totals"]["total"]
    asked = await guest.pay(total, payment_token="second_step")
    await agree_to(sessions, asked.json()["next_step_url"])
    paid = await guest.pay(total, payment_token="ok")
    assert paid.status_code == 204, paid.text
    order = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
    assert [payment["status"] for payment in order["payments"]] == ["paid"]


async def test_a_service_that_the_store_switched_off_takes_nothing(guest: Guest, sessions: Sessions):
    async with sessions() as session:
        await session.execute(
            text("DELETE FROM store_payment_services WHERE store_id = :id AND name = 'test'"),
            {"id": guest.store.id},
        )
        await session.commit()
    variant = await add_variant(sessions, guest.store)
    checkout = await guest.prepare(variant)
    paid = await guest.pay(checkout["totals"]["total"])
    assert (paid.status_code, paid.json()["code"]) == (404, "payment_service_not_found")
    started = await guest.call("POST", f"/checkout/{guest.token}/payment/test", {})
    assert (started.status_code, started.json()["code"]) == (404, "payment_service_not_found")


async def test_what_costs_nothing_is_placed_by_no_service_also_where_the_store_names_none(
    guest: Guest, sessions: Sessions
):
    async with sessions() as session:
        await session.execute(
            text("DELETE FROM store_payment_services WHERE store_id = :id AND name = 'free_payment'"),
            {"id": guest.store.id},
        )
        await session.commit()
    variant = await add_variant(sessions, guest.store, on_hand=3)
    checkout = await guest.prepare(variant)
    assert "free_payment" not in {way["name"] for way in checkout["payment_services"]}
    assert (await guest.pay(3000, service="free_payment")).json()["code"] == "payment_not_free"
    await add_promotion(sessions, guest.store, kind="free_shipping", value=0)
    await add_promotion(sessions, guest.store, "GRATIS", value=10_000)
    checkout = (await guest.call("PUT", f"/checkout/{guest.token}/coupon", {"coupon": "gratis"})).json()
    assert checkout["totals"]["total"] == 0
    assert [way["title"] for way in checkout["payment_services"] if way["name"] == "free_payment"] == [
        "Nothing to pay"
    ]
    for service in ("manual", "test", "gift_card", "store_credit"):
        refused = await guest.pay(0, service=service)
        assert (refused.status_code, refused.json()["code"]) == (422, "payment_not_free"), service
    started = await guest.call("POST", f"/checkout/{guest.token}/payment/test", {})
    assert (started.status_code, started.json()["code"]) == (422, "payment_not_free")
    assert (await guest.pay(1, service="free_payment")).json()["code"] == "total_changed"
    paid = await guest.pay(0, service="free_payment")
    assert paid.status_code == 204, paid.text
    order = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
    assert (order["total_price"], order["payment_status"]) == (0, "paid")
    assert await stock_of(sessions, variant) == (2, 0)


async def test_a_client_cannot_choose_what_it_pays(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store, price=2500)
    await guest.prepare(variant)
    cheap = await guest.pay(1)
    assert cheap.status_code == 409, cheap.headers
    assert (cheap.json()["code"], cheap.json()["totals"]["total"]) == ("total_changed", 3000)
    free = await guest.pay(3000, service="free_payment")
    assert (free.status_code, free.json()["code"]) == (422, "payment_not_free")


async def test_a_payment_is_not_started_with_another_total_than_the_page_showed(
    guest: Guest, sessions: Sessions
):
    variant = await add_variant(sessions, guest.store, price=2500)
    shown = (await guest.prepare(variant))["totals"]["due"]
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE variants SET price = 9900 WHERE id = :id"), {"id": variant})
    for page in ({"amount": shown}, {"amount": shown + 7400, "currency": "EUR"}):
        refused = await guest.call("POST", f"/checkout/{guest.token}/payment/test", page)
        assert (refused.status_code, refused.json()["code"]) == (409, "total_changed"), page
        assert refused.json()["totals"]["due"] == shown + 7400
        assert [change["code"] for change in refused.json()["changes"]] == ["price_changed"]
        assert (await guest.read_checkout())["state"] == "priced"
    page = {"amount": shown + 7400, "currency": "USD"}
    started = await guest.call("POST", f"/checkout/{guest.token}/payment/test", page)
    assert (started.status_code, started.json()["amount"]) == (200, shown + 7400)


async def test_stock_that_left_meanwhile_is_said_before_paying(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store, on_hand=1)
    checkout = await guest.prepare(variant)
    async with sessions() as session:
        await session.execute(
            text("UPDATE stock_items SET on_hand = 0 WHERE variant_id = :id"), {"id": variant}
        )
        await session.commit()
    late = await guest.pay(checkout["totals"]["total"])
    assert (late.status_code, late.json()["code"]) == (409, "out_of_stock")
    assert late.json()["items"] == [{"variant_id": variant, "available": 0}]
    assert (await guest.read_checkout())["state"] == "priced"


async def test_tax_is_added_per_line_and_shown(guest: Guest, sessions: Sessions):
    async with sessions() as session:
        await session.execute(
            text("UPDATE tax_rates SET rate_ppm = 66250 WHERE store_id = :id"), {"id": guest.store.id}
        )
        await session.commit()
    variant = await add_variant(sessions, guest.store, price=999)
    checkout = await guest.prepare(variant, 3)
    # 29.97 * 6.625 % = 1.9855125, half up
    assert (
        checkout["totals"].items()
        >= {"items": 2997, "discount": 0, "shipping": 500, "tax": 199, "total": 3696}.items()
    )


async def test_no_address_leaves_out_the_region_that_its_tax_depends_on(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store, price=1000)
    async with transaction(sessions) as session:
        session.add(
            TaxRate(store_id=guest.store.id, country="US", region="US-CA", name="California", rate_ppm=90_000)
        )
    await guest.add(variant)
    await guest.open_checkout()
    place = {**ADDRESS, "region": None}
    at_home = {"shipping_address": place}
    # As of a billing address alone, where goods are fetched or need no shipping.
    elsewhere = {"billing_address": place, "billing_same_as_shipping": False}

    async def ask(sent: dict[str, Any], code: str) -> httpx.Response:
        place["zip"] = code
        return await guest.call("PUT", f"/checkout/{guest.token}/customer", {"email": guest.email, **sent})

    told = (await ask(at_home, "94103")).json()
    assert (told["shipping_address"]["region"], told["totals"]["tax"]) == ("California", 90)
    for sent, field in ((at_home, "shipping_address"), (elsewhere, "billing_address")):
        refused = await ask(sent, "00000")
        assert refused.status_code == 422, refused.text
        assert [(fault["field"], fault["code"]) for fault in refused.json()["errors"]] == [
            (f"{field}.region", "required")
        ]
    # Beside a shipping address nothing depends on where the invoice goes.
    assert (await ask({**elsewhere, "shipping_address": ADDRESS}, "00000")).status_code == 200


async def test_every_fault_of_an_address_is_named(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    await guest.open_checkout()
    broken = {**ADDRESS, "country": "Atlantis", "city": ""}
    answer = await guest.call(
        "PUT", f"/checkout/{guest.token}/customer", {"email": "no", "shipping_address": broken}
    )
    assert answer.status_code == 422
    fields = {error["field"] for error in answer.json()["errors"]}
    assert {"email", "shipping_address.country", "shipping_address.city"} <= fields


async def test_another_checkouts_token_opens_no_order(guest: Guest, sessions: Sessions):
    variant = await add_variant(sessions, guest.store)
    checkout = await guest.prepare(variant)
    paid = await guest.pay(checkout["totals"]["total"])
    path = f"/orders/{paid.headers['location'].rpartition('/')[2]}"
    assert (await guest.call("GET", path)).status_code == 404
    assert (await guest.call("GET", path, **{"X-Checkout-Token": "x" * 43})).status_code == 404
