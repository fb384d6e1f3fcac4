"""What a cart remembers and says: prices of then, a note, attributes, and what changed before it is paid for."""

from uuid import UUID

from sqlalchemy import text

from app.db.session import transaction
from tests.shop import Guest, add_variant

WORDS = [{"name": "gift wrap", "value": "yes"}]


async def change(sessions, statement: str, **values) -> None:
    async with transaction(sessions) as session:
        await session.execute(text(statement), values)


async def read(guest: Guest) -> dict:
    return (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()


async def test_what_changed_since_it_was_added_is_said_and_nothing_leaves_the_cart(guest: Guest, sessions):
    dearer, scarce, sold_out, unlisted, gone = [
        await add_variant(sessions, guest.store, price=1000, on_hand=5) for _ in range(5)
    ]
    for variant in (dearer, scarce, sold_out, unlisted, gone):
        assert (await guest.add(variant, 3)).json()["warnings"] == []
    await change(sessions, "UPDATE variants SET price = 1200 WHERE id = :id", id=dearer)
    await change(sessions, "UPDATE stock_items SET on_hand = 2 WHERE variant_id = :id", id=scarce)
    await change(sessions, "UPDATE stock_items SET on_hand = 0 WHERE variant_id = :id", id=sold_out)
    await change(
        sessions,
        "UPDATE products SET status = 'draft' WHERE id = (SELECT product_id FROM variants WHERE id = :id)",
        id=unlisted,
    )
    await change(sessions, "DELETE FROM stock_movements WHERE variant_id = :id", id=gone)
    await change(sessions, "DELETE FROM stock_items WHERE variant_id = :id", id=gone)
    await change(sessions, "DELETE FROM variants WHERE id = :id", id=gone)
    cart = await read(guest)
    assert [(line["variant_id"], line["quantity"], line["title"]) for line in cart["items"]] == [
        (variant, 3, "Enamel mug") for variant in (dearer, scarce, sold_out, unlisted, gone)
    ]
    told = {
        warning["variant_id"]: (warning["code"], warning["was"], warning["now"], warning["available"])
        for warning in cart["warnings"]
    }
    assert told == {
        dearer: ("price_changed", 1000, 1200, None),
        scarce: ("not_enough_stock", None, None, 2),
        sold_out: ("not_enough_stock", None, None, 0),
        unlisted: ("not_on_sale", None, None, None),
        gone: ("not_on_sale", None, None, None),
    }
    by_line = {line["variant_id"]: [one["code"] for one in line["warnings"]] for line in cart["items"]}
    assert by_line == {variant: [code] for variant, (code, *_) in told.items()}
    for variant in (unlisted, gone):
        assert (
            await guest.call("DELETE", f"/cart/items?product_id={variant}&cart_uuid={guest.cart_uuid}")
        ).status_code == 204
    checkout = await guest.open_checkout()
    assert {(one["code"], one["variant_id"]) for one in checkout["warnings"]} == {
        ("price_changed", dearer),
        ("not_enough_stock", scarce),
        ("not_enough_stock", sold_out),
    }


async def test_note_and_attributes_of_a_cart_go_along_with_its_order(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    body = {"cart_uuid": guest.cart_uuid, "note": "Ring twice.", "attributes": WORDS}
    said = await guest.call("PUT", "/cart", body)
    assert (said.status_code, said.json()["note"], said.json()["attributes"]) == (200, "Ring twice.", WORDS)
    form = {"cart_uuid": guest.cart_uuid, "attributes[0][name]": "gift wrap", "attributes[0][value]": "yes"}
    sent = await guest.client.put("/storefront/v1/cart", data=form, headers=guest.headers)
    assert (sent.status_code, sent.json()["attributes"]) == (200, WORDS), sent.text
    # What is left out stays.
    said = await guest.call("PUT", "/cart", {"cart_uuid": guest.cart_uuid, "note": "Ring thrice."})
    assert (said.json()["note"], said.json()["attributes"]) == ("Ring thrice.", WORDS)
    checkout = await guest.prepare(variant)
    assert checkout["note"] == "Ring thrice."
    said = await guest.call(
        "PUT",
        f"/checkout/{guest.token}/customer",
        {
            "email": guest.email,
            "shipping_address": {**checkout["shipping_address"], "phone": "+15035550123"},
            "note": "Do not ring.",
        },
    )
    assert (said.status_code, said.json()["note"]) == (200, "Do not ring."), said.text
    paid = await guest.pay(said.json()["totals"]["total"])
    assert paid.status_code == 204, paid.text
    order = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
    assert (order["note"], order["attributes"], order["consents"]) == ("Do not ring.", WORDS, [])
    assert (await guest.read_checkout())["note"] == "Do not ring."
    cart = await read(guest)
    assert (cart["items"], cart["note"], cart["attributes"]) == ([], None, [])


async def test_words_are_bounded_and_written_to_ones_own_cart_only(guest: Guest, sessions):
    await guest.add(await add_variant(sessions, guest.store))
    refused = [
        ({"note": "x" * 2001}, "note"),
        ({"attributes": [{"name": "", "value": "x"}]}, "attributes[0].name"),
        ({"attributes": [{"name": "x", "value": "y", "more": "z"}]}, "attributes[0].more"),
        ({"attributes": WORDS * 51}, "attributes"),
        ({"currency": "EUR"}, "currency"),
        ({"items": []}, "items"),
    ]
    for body, field in refused:
        answer = await guest.call("PUT", "/cart", {"cart_uuid": guest.cart_uuid, **body})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
    for body in ({"cart_uuid": str(UUID(int=1))}, {"cart_uuid": "none"}, {}):
        answer = await guest.call("PUT", "/cart", {**body, "note": "Mine?"})
        assert (answer.status_code, answer.json()["code"]) == (404, "cart_not_found")
    assert (await read(guest))["note"] is None


async def test_another_price_is_said_with_the_new_quote_before_anything_is_paid(guest: Guest, sessions):
    variant = await add_variant(sessions, guest.store, price=1000)
    await guest.prepare(variant, 2)
    await change(sessions, "UPDATE variants SET price = 1100 WHERE id = :id", id=variant)
    other = await add_variant(sessions, guest.store, price=300)
    await guest.add(other)
    refused = await guest.pay(2500)
    found = refused.json()
    assert (refused.status_code, found["code"], found["currency"]) == (409, "total_changed", "USD")
    sums = {"items": 2500, "discount": 0, "shipping": 500, "tax": 0, "total": 3000}
    assert found["totals"] == sums | {"gift_card": 0, "store_credit": 0, "due": 3000}
    assert [(line["variant_id"], line["quantity"], line["line_price"]) for line in found["lines"]] == [
        (variant, 2, 2200),
        (other, 1, 300),
    ]
    assert found["changes"] == [
        {"variant_id": variant, "code": "price_changed", "was": 1000, "now": 1100},
        {"variant_id": other, "code": "added", "was": 0, "now": 1},
    ]
    async with sessions() as session:
        assert (
            await session.scalar(
                text("SELECT count(*) FROM orders WHERE store_id = :id"), {"id": guest.store.id}
            )
            == 0
        )
    await change(sessions, "UPDATE stock_items SET on_hand = 1 WHERE variant_id = :id", id=variant)
    short = (await guest.pay(3000)).json()
    assert (short["code"], short["items"]) == ("out_of_stock", [{"variant_id": variant, "available": 1}])
    assert [line["variant_id"] for line in short["lines"]] == [variant, other]
    await change(sessions, "UPDATE stock_items SET on_hand = 9 WHERE variant_id = :id", id=variant)
    assert (await guest.pay(3000)).status_code == 204


async def test_nobody_pays_without_having_agreed_to_what_the_store_asks_in_the_words_of_today(
    guest: Guest, sessions
):
    rules = (
        '[{"key": "terms", "text": "I accept the terms.", "required": true},'
        ' {"key": "survey", "text": "You may ask me how it was.", "required": false}]'
    )
    await change(
        sessions,
        "UPDATE stores SET settings = settings || jsonb_build_object('consents', CAST(:rules AS jsonb)) "
        "WHERE id = :id",
        rules=rules,
        id=guest.store.id,
    )
    checkout = await guest.prepare(await add_variant(sessions, guest.store))
    assert checkout["state"] == "open"
    assert [(one["key"], one["required"], one["given_at"]) for one in checkout["consents"]] == [
        ("terms", True, None),
        ("survey", False, None),
    ]
    total = checkout["totals"]["total"]
    refused = (await guest.pay(total)).json()
    assert (refused["code"], [one["field"] for one in refused["errors"]]) == (
        "checkout_incomplete",
        ["consents.terms"],
    )
    customer = {"email": guest.email, "shipping_address": checkout["shipping_address"]}
    unknown = await guest.call(
        "PUT", f"/checkout/{guest.token}/customer", {**customer, "consents": {"soul": True}}
    )
    assert (unknown.status_code, unknown.json()["code"]) == (422, "consent_unknown")
    for answer, state in ((True, "priced"), (False, "open"), (True, "priced")):
        said = await guest.call(
            "PUT", f"/checkout/{guest.token}/customer", {**customer, "consents": {"terms": answer}}
        )
        assert (said.status_code, said.json()["state"]) == (200, state), said.text
    # An agreement to other words is none.
    await change(
        sessions,
        """UPDATE checkouts SET consents = '[{"key": "terms", "text": "Other words.", "at": "2026-01-01T00:00:00Z"}]'
        WHERE store_id = :id""",
        id=guest.store.id,
    )
    assert (await guest.pay(total)).status_code == 422
    await guest.call("PUT", f"/checkout/{guest.token}/customer", {**customer, "consents": {"terms": True}})
    paid = await guest.pay(total)
    assert paid.status_code == 204, paid.text
    order = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
    assert [(one["key"], one["text"]) for one in order["consents"]] == [("terms", "I accept the terms.")]


async def test_a_funnel_offers_what_goes_with_the_checkout_and_can_be_had(guest: Guest, sessions):
    mug, by_hand, together, alike, sold_out, unlisted = [
        await add_variant(sessions, guest.store, price=1000 + place) for place in range(6)
    ]
    await guest.prepare(mug)
    path = f"/checkout/{guest.token}?funnel=1"
    assert (await guest.call("GET", path)).json()["funnel"] == []
    assert "funnel" not in await guest.read_checkout()
    products = "ARRAY(SELECT product_id FROM variants WHERE id = ANY(CAST(:{} AS bigint[])))"
    await change(
        sessions,
        f"UPDATE products SET related = :hand, bought_with = {products.format('with')}, "
        f"similar_to = {products.format('alike')} WHERE id = (SELECT product_id FROM variants WHERE id = :mug)",
        **{"hand": [sold_out, unlisted, by_hand], "with": [together], "alike": [alike, mug], "mug": mug},
    )
    await change(
        sessions,
        "UPDATE products SET lead_variant_id = v.id FROM variants v "
        "WHERE v.product_id = products.id AND v.store_id = :id",
        id=guest.store.id,
    )
    await change(sessions, "UPDATE stock_items SET on_hand = 0 WHERE variant_id = :id", id=sold_out)
    await change(
        sessions,
        "UPDATE products SET status = 'draft' WHERE id = (SELECT product_id FROM variants WHERE id = :id)",
        id=unlisted,
    )
    offered = (await guest.call("GET", path)).json()["funnel"]
    assert [(one["variant_id"], one["price"]) for one in offered] == [
        (by_hand, 1001),
        (together, 1002),
        (alike, 1003),
    ]
    await guest.pay((await guest.read_checkout())["totals"]["total"])
    assert (await guest.call("GET", path)).json()["funnel"] == []
