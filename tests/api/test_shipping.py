"""Shipping through the checkout: pick-ups, dates, and carriers that answer, hang, fall over or talk nonsense."""

import asyncio
import tomllib
from contextlib import asynccontextmanager

import msgspec
import pytest
from sqlalchemy import text

from app.db.session import transaction
from app.domain.stores.applying import apply_store
from app.domain.stores.plan import StoreFile
from app.integrations.carriers import MOST_SILENCES
from app.kit.errors import Invalid
from tests.shop import ADDRESS, Guest, add_variant, running_shop, settings_for
from tests.standins.carrier import RATES, CarrierGateway
from tests.standins.wire import Reply, plain_server

FILE = """
[store]
code = "CODE"
[delivery]
time_zone = "America/Los_Angeles"
closed = ["sun"]
holidays = [2026-12-25]
cut_off = "15:00"
[payment_services]
manual = { title = "Invoice" }
test = {}
[[pickups]]
title = "At the mill"
location = "Mill Lane 12, Portland"
[[shipping_zones]]
name = "US"
countries = ["US"]
[[shipping_zones.options]]
title = "Ground"
price = "9.00"
extra_item = "1.50"
min_days = 1
max_days = 2
carrier = "hub"
carrier_service = "ground"
[[shipping_zones.options]]
title = "Air"
price = "30.00"
carrier = "hub"
carrier_service = "air"
only_live = true
[[shipping_zones.options]]
title = "Bulky"
price = "50.00"
min_items = 5
"""

WITHOUT_PICKUPS = FILE.replace(
    '[[pickups]]\ntitle = "At the mill"\nlocation = "Mill Lane 12, Portland"\n', ""
)


def read(store, file=FILE) -> StoreFile:
    return msgspec.convert(tomllib.loads(file.replace("CODE", store.code)), StoreFile)


async def apply(sessions, store, file=FILE) -> list[str]:
    async with transaction(sessions) as session:
        return (await apply_store(session, read(store, file), currency_is_free=False))[1]


class Street:
    """A shop whose carrier is the stand-in, and a guest in it."""

    def __init__(self, guest, gateway, sessions):
        self.guest, self.gateway, self.sessions = guest, gateway, sessions

    async def fill(self, quantity=1):
        variant = await add_variant(self.sessions, self.guest.store, price=2000, on_hand=50, grams=400)
        assert (await self.guest.add(variant, quantity)).status_code == 200
        return await self.guest.open_checkout()

    async def send_to(self, **changed):
        body = {"email": "ada@example.com", "shipping_address": {**ADDRESS, **changed}}
        answer = await self.guest.call("PUT", f"/checkout/{self.guest.token}/customer", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def choose(self, checkout, title):
        chosen = next(one["id"] for one in checkout["shipping_options"] if one["title"] == title)
        answer = await self.guest.call(
            "PUT", f"/checkout/{self.guest.token}/shipping", {"shipping_option_id": chosen}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()


def prices(checkout) -> dict[str, int]:
    return {one["title"]: one["price"] for one in checkout["shipping_options"]}


@asynccontextmanager
async def a_street(database_url, redis_url, sessions, store, file=FILE, **environ):
    gateway = CarrierGateway()
    async with plain_server(gateway.answer) as url:
        settings = settings_for(
            database_url,
            redis_url,
            SHIPPING_CARRIERS="hub",
            CARRIER_HUB_URL=f"{url}/rates",
            CARRIER_HUB_TOKEN="known to both",
            **environ,
        )
        await apply(sessions, store, file)
        async with running_shop(settings) as client:
            yield Street(Guest(client, store, 0), gateway, sessions)


@pytest.fixture
async def street(database_url, redis_url, sessions, store):
    async with a_street(database_url, redis_url, sessions, store) as made:
        yield made


async def test_a_shop_file_sets_pick_ups_bands_and_delivery_up_once(sessions, store):
    told = await apply(sessions, store)
    assert "pick-up At the mill: created at 0.00 USD" in told
    assert any(line.startswith(f"store {store.code}: delivery cut_off (none) -> 15:00") for line in told)
    assert await apply(sessions, store) == []
    changed = FILE.replace("Mill Lane 12", "Mill Lane 14").replace(
        'extra_item = "1.50"', 'extra_item = "2.00"'
    )
    assert await apply(sessions, store, changed) == [
        "shipping option US / Ground: extra_item 150 -> 200",
        "pick-up At the mill: location Mill Lane 12, Portland -> Mill Lane 14, Portland",
    ]
    assert "pick-up At the mill: removed" in await apply(sessions, store, f"pickups = []\n{WITHOUT_PICKUPS}")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('closed = ["sun"]', 'closed = ["sun","mon","tue","wed","thu","fri","sat"]', "delivery.closed"),
        ("America/Los_Angeles", "America/Nowhere", "delivery.time_zone"),
        ("min_items = 5", "min_items = 5\nmax_items = 4", "shipping_zones[0].options[2].max_items"),
        ("min_items = 5", "only_live = true", "shipping_zones[0].options[2].carrier"),
        ('extra_item = "1.50"', 'extra_item = "1.505"', "shipping_zones[0].options[0].extra_item"),
        ('location = "Mill', 'price = "0.001"\nlocation = "Mill', "pickups[0].price"),
    ],
)
async def test_a_fault_in_the_shop_file_is_named_by_its_place(sessions, store, old, new, place):
    with pytest.raises(Invalid) as refused:
        await apply(sessions, store, FILE.replace(old, new))
    assert place in [error.field for error in refused.value.errors]


async def test_what_is_fetched_needs_no_shipping_address(street):
    opened = await street.fill(2)
    assert prices(opened) == {"At the mill": 0}
    answer = await street.guest.call(
        "PUT",
        f"/checkout/{street.guest.token}/customer",
        {"email": "ada@example.com", "billing_address": ADDRESS, "billing_same_as_shipping": False},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["shipping_address"] is None
    assert prices(answer.json()) == {"At the mill": 0}
    chosen = await street.choose(answer.json(), "At the mill")
    assert (chosen["state"], chosen["totals"]["total"]) == ("priced", 4000)
    assert chosen["shipping_options"][0]["location"] == "Mill Lane 12, Portland"
    paid = await street.guest.pay(4000)
    assert paid.status_code == 204, paid.text
    order = (await street.guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
    assert order["shipping_address"] is None
    assert order["billing_address"]["city"] == "Portland"
    assert order["shipping_option"]["location"] == "Mill Lane 12, Portland"
    assert street.gateway.asked == []


async def test_what_is_sent_needs_one(street):
    await street.fill()
    path = f"/checkout/{street.guest.token}/customer"
    nowhere = await street.guest.call("PUT", path, {"email": "ada@example.com"})
    assert nowhere.status_code == 422
    assert [error["field"] for error in nowhere.json()["errors"]] == ["shipping_address"]
    await street.choose(await street.send_to(), "Ground")
    billed = {"email": "ada@example.com", "billing_address": ADDRESS, "billing_same_as_shipping": False}
    back = await street.guest.call("PUT", path, billed)
    assert (back.json()["state"], back.json()["shipping_option_id"]) == ("open", None)
    unpaid = await street.guest.pay(back.json()["totals"]["total"])
    assert (unpaid.status_code, unpaid.json()["code"]) == (422, "checkout_incomplete")
    assert [error["field"] for error in unpaid.json()["errors"]] == ["shipping_address"]


async def test_a_shop_without_pick_ups_asks_for_the_address(database_url, redis_url, sessions, store):
    async with a_street(database_url, redis_url, sessions, store, file=WITHOUT_PICKUPS) as street:
        await street.fill()
        answer = await street.guest.call(
            "PUT",
            f"/checkout/{street.guest.token}/customer",
            {"email": "ada@example.com", "billing_address": ADDRESS, "billing_same_as_shipping": False},
        )
    assert (answer.status_code, answer.json()["code"]) == (422, "checkout_incomplete")
    assert [error["field"] for error in answer.json()["errors"]] == ["shipping_address"]


async def test_a_carrier_is_asked_about_the_parcel_and_nobody_in_person(street):
    await street.fill(3)
    checkout = await street.send_to()
    assert prices(checkout) == {"Ground": 1234, "Air": 4321, "At the mill": 0}
    (asked,) = street.gateway.asked
    assert street.gateway.tokens == ["Bearer known to both"]
    assert asked == {
        "store": street.guest.store.code,
        "currency": "USD",
        "destination": {"country": "US", "region": "US-OR", "city": "Portland", "zip": "97201"},
        "items": [{"sku": None, "quantity": 3, "grams": 400, "price": 2000}],
        "grams": 1200,
    }
    ground = checkout["shipping_options"][0]
    assert (ground["min_days"], ground["max_days"]) == (2, 3)
    assert ground["earliest"] < ground["latest"]


async def test_what_was_shown_is_paid_and_nobody_is_asked_again(street):
    await street.fill()
    chosen = await street.choose(await street.send_to(), "Ground")
    assert chosen["totals"]["total"] == 2000 + 1234
    street.gateway.says({"rates": [{"service": "ground", "price": 9999, "currency": "USD"}]})
    assert (await street.guest.read_checkout())["totals"]["total"] == 3234
    paid = await street.guest.pay(3234)
    assert paid.status_code == 204, paid.text
    assert len(street.gateway.asked) == 1
    order = (await street.guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
    assert order["shipping_option"]["price"] == 1234


async def test_another_parcel_never_has_this_ones_price(street):
    await street.fill()
    await street.choose(await street.send_to(), "Ground")
    await street.fill(1)
    # Paid at once, nobody has asked the carrier about two: what the option is set up with counts, and is said.
    answer = await street.guest.pay(4000 + 1234)
    assert (answer.status_code, answer.json()["code"]) == (409, "total_changed")
    assert answer.json()["totals"]["shipping"] == 900 + 150
    # Whoever looks again has the carrier asked.
    assert (await street.guest.read_checkout())["totals"]["shipping"] == 1234
    assert len(street.gateway.asked) == 2
    await street.send_to(zip="97202")
    assert len(street.gateway.asked) == 3


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, {}),
        Reply(302, {}, {"Location": "http://127.0.0.1:9/"}),
        Reply(200, b"<html>"),
        Reply(200, b""),
        Reply(200, b"\xff\xfe"),
        Reply(200, []),
        Reply(200, {"rates": [{"service": "ground", "price": -1, "currency": "USD"}]}),
        Reply(200, {"rates": [{"service": "ground", "price": 12.5, "currency": "USD"}]}),
        Reply(200, {"rates": [{"service": "ground", "price": 1e300, "currency": "USD"}]}),
        Reply(200, {"rates": [{"service": "ground", "price": 12, "currency": "EUR"}]}),
        Reply(
            200, {"rates": [{"service": "g", "price": 1, "currency": "USD", "min_days": 3, "max_days": 2}]}
        ),
        Reply(200, {"rates": [{"service": "ground", "price": 12, "currency": "USD"}] * 101}),
        Reply(200, b"[" * 100_000),
        Reply(200, b" " * 300_000),
    ],
    ids=range(14),
)
async def test_what_a_carrier_says_beside_its_form_leaves_the_set_up_price(street, reply):
    await street.fill(2)
    street.gateway.reply = reply
    checkout = await street.send_to()
    assert prices(checkout) == {"Ground": 900 + 150, "At the mill": 0}
    # It is left alone for a while, and the price stays what was shown.
    street.gateway.says(RATES)
    assert prices(await street.guest.read_checkout()) == {"Ground": 1050, "At the mill": 0}
    assert len(street.gateway.asked) == 1


async def test_a_carrier_that_hangs_is_waited_for_as_long_as_set(database_url, redis_url, sessions, store):
    async with a_street(database_url, redis_url, sessions, store, STOREFRONT_CARRIER_SECONDS="0.3") as street:
        await street.fill()
        street.gateway.hangs.clear()
        checkout = await asyncio.wait_for(street.send_to(), 5)
        assert prices(checkout) == {"Ground": 900, "At the mill": 0}
        assert len(street.gateway.asked) == 1


async def test_nobody_waits_for_a_carrier_that_was_silent_several_times(street):
    await street.fill()
    street.gateway.says({}, status=500)
    for number in range(MOST_SILENCES + 3):
        await street.send_to(zip=f"9720{number}")
    assert len(street.gateway.asked) == MOST_SILENCES


async def test_no_transaction_is_open_while_a_carrier_is_asked(street, database_url):
    await street.fill()
    seen = []

    async def look() -> None:
        async with street.sessions() as session:
            seen.append(
                await session.scalar(
                    text(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                        "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND backend_type = 'client backend'"
                    )
                )
            )

    street.gateway.meanwhile = look
    await street.send_to()
    assert seen == [0]


async def test_an_older_answer_counts_for_the_same_parcel_where_no_new_one_comes(street):
    await street.fill()
    await street.send_to()
    async with transaction(street.sessions) as session:
        await session.execute(
            text(
                "UPDATE checkouts SET rates = jsonb_set(rates, '{until}', to_jsonb(CAST(:then AS text))) "
                "WHERE store_id = :store"
            ),
            {"store": street.guest.store.id, "then": "2020-01-01T00:00:00Z"},
        )
    street.gateway.says({}, status=500)
    assert prices(await street.guest.read_checkout())["Ground"] == 1234
    assert len(street.gateway.asked) == 2
    await street.guest.read_checkout()
    assert len(street.gateway.asked) == 2
