"""What is shown beside a product: chosen by hand, else bought with it, then alike by its tags."""

import pytest
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from app.db.session import Sessions, transaction
from app.domain.catalogue.refreshing import refresh_products
from app.domain.catalogue.service import save_products, set_related
from app.domain.orders.jobs import order_jobs
from app.domain.stores.models import Store
from app.kit.clock import utc_now
from app.worker import work_once
from tests.api.catalogue_shop import simple
from tests.api.test_statements import counted
from tests.shop import Guest

__all__ = ["counted"]


@pytest.fixture
async def leads(guest: Guest, sessions: Sessions, store: Store) -> dict[str, int]:
    """The first variant of each product, by handle."""
    drafts = (
        simple("tent", "Tent", 100, tags=("camp", "shelter")),
        simple("tarp", "Tarp", 100, tags=("camp", "shelter")),
        simple("stove", "Stove", 100, tags=("camp",)),
        simple("lamp", "Lamp", 100, tags=("light",)),
        simple("hidden", "Hidden", 100, tags=("camp", "shelter"), published=False),
        simple("cup", "Cup", 100, type="Cups"),
        simple("mug", "Mug", 100, type="Cups"),
    )
    async with transaction(sessions) as session:
        await save_products(session, store.id, drafts, now=utc_now())
        found = await session.execute(
            text("SELECT id, handle, lead_variant_id FROM products WHERE store_id = :id"), {"id": store.id}
        )
        rows = list(found)
        # Each is written again, now that the others are there.
        await refresh_products(session, store.id, [row.id for row in rows])
    return {row.handle: row.lead_variant_id for row in rows}


async def related(guest: Guest, variant_id: int) -> list[int]:
    answer = await guest.call("GET", f"/products/variants/{variant_id}?expand=related_products")
    assert answer.status_code == 200, answer.text
    found: list[int] = answer.json()["related_products"]
    return found


async def buy(guest: Guest, *variants: int) -> None:
    guest.cart_uuid = ""
    for variant in variants[1:]:
        await guest.add(variant)
    checkout = await guest.prepare(variants[0])
    assert (await guest.pay(checkout["totals"]["total"], service="manual")).status_code == 204


async def test_shared_tags_relate_the_rarest_most_and_nothing_hidden(guest: Guest, leads):
    assert await related(guest, leads["tent"]) == [leads["tarp"], leads["stove"]]
    assert await related(guest, leads["lamp"]) == []


async def test_without_tags_the_same_type_is_related(guest: Guest, leads):
    assert await related(guest, leads["cup"]) == [leads["mug"]]


async def test_what_is_bought_together_comes_before_what_is_alike(
    guest: Guest, leads, sessions, store, reads
):
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    for others in (("lamp",), ("lamp", "cup")):
        await buy(guest, leads["tent"], *(leads[other] for other in others))
    jobs = order_jobs(
        sessions=sessions, stores=None, writer=None, mailer=None, settings=None, clock=utc_now
    )  # fmt: skip
    for _ in range(2):
        async with transaction(sessions) as session:
            await session.execute(
                text("UPDATE jobs SET state = 'queued', run_at = now() WHERE kind = 'orders.count_sold'")
            )
        while await work_once(sessions, {"orders.count_sold": jobs["orders.count_sold"]}):
            pass
        assert await related(guest, leads["tent"]) == [
            leads["lamp"], leads["cup"], leads["tarp"], leads["stove"],
        ]  # fmt: skip
    assert await related(guest, leads["lamp"]) == [leads["tent"], leads["cup"]]


async def test_what_was_chosen_by_hand_stands_alone(guest: Guest, leads, sessions, store):
    async with transaction(sessions) as session:
        query = text("SELECT product_id FROM variants WHERE id = :id")
        product = await session.scalar(query, {"id": leads["tent"]})
        assert product is not None
        await set_related(session, store.id, product, [leads["mug"]], now=utc_now())
    assert await related(guest, leads["tent"]) == [leads["mug"]]

    # What has gone from sale since is left out; where nothing is left, what goes with it is computed again.
    gone = [leads["hidden"], 2**62]
    for chosen, shown in (
        ([*gone, leads["mug"], leads["cup"]], [leads["mug"], leads["cup"]]),
        (gone, [leads["tarp"], leads["stove"]]),
    ):
        async with transaction(sessions) as session:
            await set_related(session, store.id, product, chosen, now=utc_now())
        assert await related(guest, leads["tent"]) == shown


async def test_related_products_cost_no_statement_more(guest: Guest, leads, counted):
    await related(guest, leads["tent"])
    with counted() as seen:
        await related(guest, leads["tent"])
    assert seen == ["read"]


async def test_lines_of_a_cart_say_what_goes_with_them_and_can_be_had_where_that_is_asked_for(
    guest: Guest, leads, sessions, store, counted
):
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "UPDATE stock_items SET tracked = true, policy = 'deny', on_hand = 0, floor = 0"
                " WHERE variant_id = :id"
            ),
            {"id": leads["tarp"]},
        )
        await session.execute(
            text("UPDATE stores SET settings = settings || :more WHERE id = :id").bindparams(
                bindparam("more", type_=JSONB)
            ),
            {"id": store.id, "more": {"currencies": [{"code": "EUR", "rate": "2"}]}},
        )
    for name in ("tent", "lamp"):
        line = (await guest.add(leads[name])).json()
        assert line["related_products"] == {}
    path = f"/cart?cart_uuid={guest.cart_uuid}"
    assert [one["related_products"] for one in (await guest.call("GET", path)).json()["items"]] == [{}, {}]
    asked = f"{path}&expand=related_products"
    with counted() as seen:
        cart = (await guest.call("GET", asked)).json()
    assert len(seen) == 3, seen  # the cart and its things, what goes with them and what that costs
    tent, lamp = (one["related_products"] for one in cart["items"])
    assert (list(tent), lamp) == ([str(leads["stove"])], {})
    stove = tent[str(leads["stove"])]
    assert (stove["title"], stove["price"], stove["handle"]) == ("Stove", 100, "stove")

    body = {"product_id": leads["tent"], "quantity": 2, "cart_uuid": guest.cart_uuid}
    for method in ("POST", "PUT"):
        answer = await guest.call(method, "/cart/items?expand=related_products", body)
        assert answer.json()["related_products"] == tent, answer.text
        refused = await guest.call(method, "/cart/items?expand=reviews", body)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "expand")
    await guest.call("PUT", "/cart", {"cart_uuid": guest.cart_uuid, "currency": "EUR"})
    cart = (await guest.call("GET", asked)).json()
    assert cart["items"][0]["related_products"][str(leads["stove"])]["price"] == 200
