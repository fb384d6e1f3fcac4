"""The guest's cart joins the customer's: what adds up, what is capped, and whose cart it must be."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from app.db.session import transaction
from app.domain.checkout.claiming import claim_at_login
from app.kit.clock import utc_now
from tests.conftest import make_store
from tests.people import Member, join
from tests.shop import ADDRESS, Guest, add_promotion, add_variant, open_till


@pytest.fixture
async def member(guest: Guest, sessions, redis_url) -> Member:
    return await join(guest, sessions, redis_url)


async def own_cart(member: Member) -> dict:
    return (await member.call("GET", "/cart")).json()


def quantities(cart: dict) -> dict[int, int]:
    return {line["variant_id"]: line["quantity"] for line in cart["items"]}


async def merge(member: Member, uuid: str, how: object = 1):
    return await member.call("POST", "/cart/merge", {"cart_uuid": uuid, "merge": how})


async def claim(sessions, member: Member, *, cart: str | None = None, token: str | None = None, skip=False):
    async with transaction(sessions) as session:
        return await claim_at_login(
            session,
            member.store.id,
            customer_id=member.customer_id,
            cart_uuid=UUID(cart) if cart else None,
            checkout_token=token,
            skip_cart_merge=skip,
            now=utc_now(),
            keep_seconds=3600,
        )


async def test_quantities_of_both_carts_add_up_and_nothing_else_is_lost(guest, member, sessions):
    both, guests, mine = [await add_variant(sessions, guest.store, on_hand=50) for _ in range(3)]
    await guest.add(both, 2)
    await guest.add(guests, 1)
    await member.add(both, 3)
    await member.add(mine, 4)
    answer = await merge(member, guest.cart_uuid)
    assert (answer.status_code, answer.json()["token"]) == (200, member.cart_uuid)
    assert quantities(answer.json()) == {both: 5, guests: 1, mine: 4}
    assert (answer.json()["capped"], answer.json()["waits"]) == ([], False)
    assert quantities(await own_cart(member)) == {both: 5, guests: 1, mine: 4}


async def test_merging_again_changes_nothing(guest, member, sessions):
    variant = await add_variant(sessions, guest.store, on_hand=50)
    await guest.add(variant, 2)
    await member.add(variant, 3)
    for how in (1, 1, 0, 0, True, "1", "0"):
        answer = await merge(member, guest.cart_uuid, how)
        assert (answer.status_code, quantities(answer.json())) == (200, {variant: 5})


async def test_a_customer_without_a_cart_gets_the_guests_with_its_uuid(guest, member, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant, 2)
    for _ in range(2):
        answer = await merge(member, guest.cart_uuid)
        assert (answer.json()["token"], quantities(answer.json())) == (guest.cart_uuid, {variant: 2})
    # From now on it answers to its customer only.
    assert (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()["code"] == "cart_not_found"


async def test_merge_0_lets_the_guests_cart_take_the_place_of_the_customers(guest, member, sessions):
    old, both, new = [await add_variant(sessions, guest.store, on_hand=50) for _ in range(3)]
    for variant in (old, both):
        await member.add(variant, 5)
    for variant in (both, new):
        await guest.add(variant, 2)
    answer = await merge(member, guest.cart_uuid, 0)
    assert quantities(answer.json()) == {both: 2, new: 2}


async def test_an_empty_guest_cart_takes_nobodys_place(guest, member, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant)
    await guest.call("DELETE", f"/cart/items?product_id={variant}&cart_uuid={guest.cart_uuid}")
    await member.add(variant, 3)
    assert quantities((await merge(member, guest.cart_uuid, 0)).json()) == {variant: 3}


async def test_what_there_is_not_enough_of_is_capped_and_told(guest, member, sessions):
    scarce = await add_variant(sessions, guest.store, on_hand=7)
    plenty = await add_variant(sessions, guest.store, tracked=False)
    for variant, his, hers in ((scarce, 5, 4), (plenty, 600, 700)):
        await guest.add(variant, his)
        await member.add(variant, hers)
    merged = (await merge(member, guest.cart_uuid)).json()
    assert quantities(merged) == {scarce: 7, plenty: 999}
    assert merged["capped"] == [
        {"variant_id": scarce, "wanted": 9, "kept": 7, "reason": "not_enough_stock"},
        {"variant_id": plenty, "wanted": 1300, "kept": 999, "reason": "quantity_too_large"},
    ]


async def test_a_line_that_sold_out_is_kept_to_be_seen_and_the_customers_own_is_never_lowered(
    guest, member, sessions
):
    sold_out = await add_variant(sessions, guest.store, on_hand=9)
    both = await add_variant(sessions, guest.store, on_hand=9)
    await guest.add(sold_out, 4)
    await guest.add(both, 1)
    await member.add(both, 5)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE stock_items SET on_hand = 0 WHERE store_id = :id"), {"id": guest.store.id}
        )
    merged = (await merge(member, guest.cart_uuid)).json()
    assert quantities(merged) == {sold_out: 1, both: 5}
    assert [line["available"] for line in merged["items"]] == [False, False]
    assert {(cap["variant_id"], cap["wanted"], cap["kept"]) for cap in merged["capped"]} == {
        (sold_out, 4, 1),
        (both, 6, 5),
    }


async def test_what_does_not_fit_a_full_cart_stays_in_the_guests(guest, member, sessions):
    first = await add_variant(sessions, guest.store, tracked=False)
    more = [await add_variant(sessions, guest.store, tracked=False) for _ in range(2)]
    await member.add(first)
    for variant in more:
        await guest.add(variant, 2)
    async with transaction(sessions) as session:
        # 198 more lines of variants that are gone from the catalogue since.
        await session.execute(
            text(
                "INSERT INTO cart_lines (store_id, cart_id, variant_id, quantity, added_price) "
                "SELECT c.store_id, c.id, 10000000 + n, 1, 100 FROM carts c, generate_series(1, 198) n "
                "WHERE c.uuid = :uuid"
            ),
            {"uuid": member.cart_uuid},
        )
    for _ in range(2):
        merged = (await merge(member, guest.cart_uuid)).json()
        assert len(merged["items"]) == 200
        assert merged["capped"] == [{"variant_id": more[1], "wanted": 2, "kept": 0, "reason": "cart_full"}]
    left = (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()
    assert quantities(left) == {more[1]: 2}


async def test_another_customers_cart_an_unknown_and_an_expired_one_are_not_found(
    guest, member, sessions, redis_url
):
    variant = await add_variant(sessions, guest.store)
    other = await join(guest, sessions, redis_url)
    await other.add(variant, 2)
    await guest.add(variant, 3)
    await member.add(variant, 1)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE carts SET expires_at = now() WHERE uuid = :uuid"), {"uuid": guest.cart_uuid}
        )
    bodies = []
    for uuid in (other.cart_uuid, str(uuid4()), guest.cart_uuid, "nonsense"):
        for how in (1, 0):
            answer = await merge(member, uuid, how)
            assert (answer.status_code, answer.json()["code"]) == (404, "cart_not_found")
            bodies.append({**answer.json(), "request_id": ""})
    assert all(body == bodies[0] for body in bodies)
    assert quantities(await own_cart(member)) == {variant: 1}
    assert quantities(await own_cart(other)) == {variant: 2}


async def test_another_stores_cart_is_not_found(guest, member, sessions, client):
    store = await make_store(sessions)
    elsewhere = Guest(client, store, await open_till(sessions, store))
    await elsewhere.add(await add_variant(sessions, store))
    assert (await merge(member, elsewhere.cart_uuid)).status_code == 404


async def test_merging_needs_a_login_and_a_sensible_body(guest, member):
    assert (await guest.call("POST", "/cart/merge", {"merge": 1})).json()["code"] == "login_required"
    for body in ({"merge": 2}, {"merge": "yes"}, {"cart_uuid": 1}, {"customer_id": 1}):
        assert (await member.call("POST", "/cart/merge", body)).status_code == 422
    answer = await member.call("POST", "/cart/merge", {})
    assert (answer.status_code, answer.json()["token"], answer.json()["items"]) == (200, None, [])


async def test_a_guest_in_cookie_mode_reads_and_merges_without_naming_the_cart(guest, member, sessions):
    variant = await add_variant(sessions, guest.store)
    added = await guest.call(
        "POST", "/cart/items", {"product_id": variant, "quantity": 2}, **{"X-Session": "cookie"}
    )
    cookie = added.headers["set-cookie"].partition(";")[0]
    assert cookie == f"__Host-cart={added.json()['cart_uuid']}"
    guest.client.cookies.clear()
    read = await guest.call("GET", "/cart", Cookie=cookie)
    assert quantities(read.json()) == {variant: 2}
    await guest.call(
        "POST",
        "/cart/items",
        {"product_id": variant, "quantity": 1},
        Cookie=cookie,
        **{"Sec-Fetch-Site": "same-origin"},
    )
    merged = await member.call("POST", "/cart/merge", {}, Cookie=cookie, **{"Sec-Fetch-Site": "same-origin"})
    assert quantities(merged.json()) == {variant: 3}


async def test_the_open_checkout_follows_its_lines_into_the_customers_cart(guest, member, sessions):
    variant = await add_variant(sessions, guest.store, price=1000, on_hand=50)
    await guest.prepare(variant, 2)
    await member.add(variant, 3)
    await merge(member, guest.cart_uuid)
    checkout = await guest.read_checkout()
    assert (checkout["state"], checkout["customer_id"]) == ("priced", member.customer_id)
    assert (checkout["cart_uuid"], checkout["items"][0]["quantity"]) == (member.cart_uuid, 5)
    assert (await guest.pay(checkout["totals"]["total"])).status_code == 204
    assert (await own_cart(member))["items"] == []


async def test_of_two_open_checkouts_the_customers_stays_unless_the_login_names_the_other(
    guest, member, sessions
):
    variant = await add_variant(sessions, guest.store, on_hand=50)
    for named in (False, True):
        guest.cart_uuid = ""
        await guest.prepare(variant, 2)
        await member.add(variant, 1)
        await member.open_checkout()
        await claim(sessions, member, cart=guest.cart_uuid, token=guest.token if named else None)
        kept, ended = (guest, member) if named else (member, guest)
        assert (await ended.read_checkout())["state"] == "cancelled"
        checkout = await kept.read_checkout()
        assert checkout["customer_id"] == member.customer_id
        assert checkout["cart_uuid"] == member.cart_uuid


async def test_a_login_with_a_checkout_token_brings_its_cart_along(guest, member, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.prepare(variant, 2)
    claimed = await claim(sessions, member, token=guest.token)
    assert (str(claimed.cart_uuid), claimed.checkout_token) == (guest.cart_uuid, guest.token)
    checkout = await guest.read_checkout()
    assert (checkout["customer_id"], checkout["state"]) == (member.customer_id, "priced")
    assert quantities(await own_cart(member)) == {variant: 2}
    paid = await guest.pay(checkout["totals"]["total"])
    order = await member.call("GET", paid.headers["location"].removeprefix("/storefront/v1"))
    assert order.status_code == 200


async def test_with_skip_cart_merge_the_checkout_is_claimed_and_the_carts_stay_apart(guest, member, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.prepare(variant, 2)
    claimed = await claim(sessions, member, cart=guest.cart_uuid, token=guest.token, skip=True)
    assert (claimed.cart_uuid, claimed.checkout_token) == (None, guest.token)
    assert (await guest.read_checkout())["customer_id"] == member.customer_id
    assert (await own_cart(member))["items"] == []


async def test_what_a_customer_buys_from_a_guests_cart_is_theirs_and_nobody_else_goes_on_with_it(
    guest, sessions, redis_url
):
    member = await join(guest, sessions, redis_url, groups=["trade"])
    variant = await add_variant(sessions, guest.store, price=1000)
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "INSERT INTO unit_prices (store_id, variant_id, customer_group, minimum, price) "
                "VALUES (:store, :variant, 'trade', 1, 500)"
            ),
            {"store": guest.store.id, "variant": variant},
        )
    await guest.add(variant)
    member.cart_uuid = guest.cart_uuid
    begun = await guest.open_checkout()
    assert (begun["customer_id"], begun["totals"]["items"]) == (None, 1000)
    # The price is the one that the cart shows to the customer.
    cart = (await member.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()
    taken = await member.open_checkout()
    assert (taken["checkout_token"], taken["customer_id"]) == (guest.token, member.customer_id)
    assert taken["totals"]["items"] == cart["total_price"] == 500
    sent = await member.call(
        "PUT", f"/checkout/{member.token}/customer", {"email": member.email, "shipping_address": ADDRESS}
    )
    assert sent.status_code == 200, sent.text
    # Whoever else has the cart begins a checkout of their own, which knows nothing of the customer.
    own = await guest.open_checkout()
    assert guest.token != member.token
    assert (own["customer_id"], own["email"], own["shipping_address"]) == (None, None, None)
    assert own["totals"]["items"] == 1000
    assert (await member.read_checkout())["state"] == "cancelled"
    checkout = await member.prepare(variant)
    assert (await member.pay(checkout["totals"]["total"], service="manual")).status_code == 204
    orders = (await member.call("GET", "/orders")).json()["items"]
    assert [order["totals"]["items"] for order in orders] == [1000]  # two at 5.00
    # And so it is where no guest has opened one before.
    await member.add(variant)
    assert (await member.open_checkout())["customer_id"] == member.customer_id


async def test_whoever_knows_a_guests_cart_takes_over_nothing_that_the_guest_has_typed(
    guest, member, sessions
):
    await add_promotion(sessions, guest.store, "TEN")
    variant = await add_variant(sessions, guest.store, price=1000)
    await guest.add(variant)
    await guest.open_checkout()
    # What is still empty they do, with a code in the same call as without.
    opened = await member.call("POST", "/checkout", {"cart_uuid": guest.cart_uuid, "coupon": "TEN"})
    assert (opened.json()["checkout_token"], opened.json()["customer_id"]) == (
        guest.token,
        member.customer_id,
    )
    member.token = guest.token
    assert (await member.read_checkout())["customer_id"] == member.customer_id
    await guest.open_checkout()
    sent = await guest.call(
        "PUT", f"/checkout/{guest.token}/customer", {"email": guest.email, "shipping_address": ADDRESS}
    )
    assert sent.status_code == 200, sent.text
    own = await member.call(
        "POST", "/checkout", {"cart_uuid": guest.cart_uuid}, **{"Idempotency-Key": "k" * 22}
    )
    shown = own.json()
    assert (shown["customer_id"], shown["email"]) == (member.customer_id, None)
    assert (shown["shipping_address"], shown["checkout_token"] == guest.token) == (None, False)
    # Nor does a guest by the same key what the customer has.
    again = await guest.call(
        "POST", "/checkout", {"cart_uuid": guest.cart_uuid}, **{"Idempotency-Key": "k" * 22}
    )
    assert again.json()["checkout_token"] not in (guest.token, shown["checkout_token"])
    assert again.json()["customer_id"] is None
    assert "Idempotency-Replayed" not in again.headers


async def test_what_is_being_paid_stays_where_it_is(guest, member, sessions):
    variant = await add_variant(sessions, guest.store, on_hand=50)
    checkout = await guest.prepare(variant, 2)
    asked = await guest.pay(checkout["totals"]["total"], payment_token="second_step")
    assert asked.status_code == 402
    await member.add(variant, 1)
    merged = (await merge(member, guest.cart_uuid)).json()
    assert (merged["waits"], quantities(merged)) == (True, {variant: 1})
    claimed = await claim(sessions, member, cart=guest.cart_uuid, token=guest.token)
    assert claimed.checkout_token is None
    assert (await guest.read_checkout())["customer_id"] is None
    assert quantities((await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()) == {variant: 2}


async def test_another_customers_checkout_and_its_cart_are_left_alone(guest, member, sessions, redis_url):
    variant = await add_variant(sessions, guest.store)
    other = await join(guest, sessions, redis_url)
    await guest.prepare(variant, 2)
    await claim(sessions, other, token=guest.token, skip=True)
    claimed = await claim(sessions, member, cart=guest.cart_uuid, token=guest.token)
    assert (claimed.cart_uuid, claimed.checkout_token) == (None, None)
    assert (await guest.read_checkout())["customer_id"] == other.customer_id
    assert (await merge(member, guest.cart_uuid)).status_code == 404


async def test_a_wrong_token_or_cart_is_ignored_at_a_login(member, sessions):
    claimed = await claim(sessions, member, cart=str(uuid4()), token="no such token")
    assert (claimed.cart_uuid, claimed.checkout_token, claimed.capped) == (None, None, ())


async def test_a_cart_that_cannot_be_merged_is_not_in_the_way_of_a_login(guest, member, sessions):
    variant = await add_variant(sessions, guest.store)
    await guest.add(variant, 2)
    await member.add(variant, 1)
    async with sessions() as holder:
        await holder.execute(
            text("SELECT 1 FROM carts WHERE uuid = :uuid FOR UPDATE"), {"uuid": member.cart_uuid}
        )
        async with transaction(sessions) as session:
            await session.execute(text("SET LOCAL lock_timeout = '50ms'"))
            claimed = await claim_at_login(
                session,
                guest.store.id,
                customer_id=member.customer_id,
                cart_uuid=UUID(guest.cart_uuid),
                checkout_token=None,
                skip_cart_merge=False,
                now=utc_now(),
                keep_seconds=3600,
            )
            alive = await session.scalar(text("SELECT 1"))
    assert (claimed.cart_uuid, alive) == (None, 1)
    # Nothing was lost: the shopper can still merge.
    assert quantities((await merge(member, guest.cart_uuid)).json()) == {variant: 3}
