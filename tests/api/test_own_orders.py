"""The list of a customer's own orders: whose they are, in which order, page by page."""

import pytest

from tests.people import Member, join
from tests.shop import Guest, add_variant


@pytest.fixture
async def member(guest: Guest, sessions, redis_url) -> Member:
    return await join(guest, sessions, redis_url)


async def buy(buyer: Guest, sessions, *, quantity: int = 1, service: str = "test", card: str = "ok") -> int:
    variant = await add_variant(sessions, buyer.store, price=1000, on_hand=50)
    checkout = await buyer.prepare(variant, quantity)
    paid = await buyer.pay(checkout["totals"]["total"], service=service, payment_token=card)
    return int(paid.headers["location"].rpartition("/")[2]) if paid.status_code == 204 else 0


async def ids(member: Member, query: str = "") -> list[int]:
    answer = await member.call("GET", f"/orders{query}")
    assert answer.status_code == 200, answer.text
    return [order["id"] for order in answer.json()["items"]]


async def test_a_customer_sees_their_own_placed_orders_the_newest_first(member, guest, sessions, redis_url):
    assert await ids(member) == []
    mine = [await buy(member, sessions) for _ in range(2)]
    await buy(member, sessions, card="decline")  # an order that was never placed
    await buy(guest, sessions)
    other = await join(guest, sessions, redis_url)
    theirs = await buy(other, sessions)
    assert await ids(member) == mine[::-1]
    assert await ids(other) == [theirs]
    listed = (await member.call("GET", "/orders")).json()["items"][0]
    assert listed == (await member.call("GET", f"/orders/{mine[1]}")).json()


async def test_they_are_sorted_as_asked_and_what_is_not_paid_comes_last(member, sessions):
    small = await buy(member, sessions)
    unpaid = await buy(member, sessions, quantity=3, service="manual")
    large = await buy(member, sessions, quantity=2)
    for query, wanted in (
        ("?order_by=id&order_type=asc", [small, unpaid, large]),
        ("?order_by=total_price", [unpaid, large, small]),
        ("?order_by=total_price&order_type=asc", [small, large, unpaid]),
        ("?order_by=paid_at&order_type=desc", [large, small, unpaid]),
        ("?order_by=paid_at&order_type=asc", [small, large, unpaid]),
        ("?order_by=payment_status&order_type=asc", [small, large, unpaid]),
    ):
        assert await ids(member, query) == wanted


async def test_pages_do_not_overlap_and_a_page_past_the_end_is_empty(member, sessions):
    mine = [await buy(member, sessions) for _ in range(3)]
    first = (await member.call("GET", "/orders?offset=2")).json()
    assert first["_meta"] == {"totalCount": 3, "pageCount": 2, "currentPage": 1, "perPage": 2}
    assert [order["id"] for order in first["items"]] == [mine[2], mine[1]]
    assert await ids(member, "?offset=2&page=2") == [mine[0]]
    assert await ids(member, "?offset=2&page=3") == []


async def test_expands_come_when_asked_for(member, sessions):
    await buy(member, sessions)
    names = ("fulfilment", "discount", "gift", "verify_payment_files")
    (plain,) = (await member.call("GET", "/orders")).json()["items"]
    (full,) = (await member.call("GET", f"/orders?expand={','.join(names)}")).json()["items"]
    assert [name for name in names if name in plain] == []
    assert [name for name in names if name not in full] == []


@pytest.mark.parametrize(
    "query",
    ["order_by=email", "order_by=id;drop", "order_type=up", "expand=customer", "page=0", "offset=101"],
)
async def test_what_cannot_be_asked_for_is_refused(member, query):
    assert (await member.call("GET", f"/orders?{query}")).status_code == 422


async def test_a_guest_has_no_list_of_orders(guest, sessions):
    await buy(guest, sessions)
    answer = await guest.call("GET", "/orders")
    assert (answer.status_code, answer.json()["code"]) == (401, "login_required")
