"""Every call, by everybody: what is another's is as if it were not there, and no answer has a word of it.

The table has each route of the storefront. A call that names a thing of customer A ("$cart") is sent by everybody
else twice, once naming A's and once naming nobody's: status, headers and body must be the same. Whoever is not
logged in here is answered like nobody at all. Afterwards nothing of A's has changed, and A gets in.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import httpx
import pytest
from sqlalchemy import select

from app.db.session import transaction
from app.domain.catalogue.drafts import StockDraft, VariantDraft
from app.domain.catalogue.models import Variant
from app.domain.catalogue.service import save_products
from app.integrations.argon2 import create_hasher
from app.integrations.redis_sessions import RedisSessions
from app.kit.clock import utc_now
from app.main import create_app
from tests.api.account_shop import OTHER_PASSWORD, PASSWORD
from tests.api.catalogue_shop import fill, tent
from tests.api.hostile import SURFACE, UNSAFE, routes
from tests.api.identities import (
    FIRST,
    LAST,
    MODES,
    NOBODIES,
    OTHERS,
    STREET,
    Call,
    Mode,
    World,
    leaks,
    make_world,
    shape,
)
from tests.api.social_shop import NAME, social_shop
from tests.conftest import make_store
from tests.people import session_store
from tests.shop import ADDRESS, open_till, settings_for

NEW_PASSWORD = {"password": OTHER_PASSWORD, "confirm_password": OTHER_PASSWORD}
SOMEBODY = {"email": "somebody@example.com", "shipping_address": ADDRESS}
LINE = {"product_id": "$variant", "quantity": 2}

CUSTOMER = (
    Call("GET /customer", shows=LAST),
    Call("PATCH /customer", {"firstname": "Adele"}, shows="Adele"),
    Call("DELETE /customer", query={"current_password": PASSWORD}, ok=204, once=True),
    Call("GET /customer/export", shows=STREET),
    Call("GET /customer/referral"),
    Call("POST /customer/withdrawals", {"amount": 1}, ok=422),
    Call("GET /customer/sessions", shows="tablet"),
    Call("DELETE /customer/sessions", ok=204, once=True),
    Call("DELETE /customer/sessions/$session", ok=204, once=True),
    Call("GET /customer/addresses", shows=STREET),
    Call("POST /customer/addresses", ADDRESS, shows="12 Mill Lane"),
    Call("GET /customer/addresses/$address", shows=STREET),
    Call("PUT /customer/addresses/$address", ADDRESS, shows="12 Mill Lane"),
    Call("PUT /customer/addresses/$address", ADDRESS | {"id": "$address"}, shows="12 Mill Lane"),
    Call("DELETE /customer/addresses/$address", ok=204, once=True),
    Call("POST /customer/logout", shows="true", once=True),
    Call(
        "POST /customer/password/reset", NEW_PASSWORD | {"current_password": PASSWORD}, shows=LAST, once=True
    ),
)

DOORS = (
    Call("POST /customer/login", {"email": "$email", "password": "not the password"}, ok=401),
    # A customer's cart and checkout are not brought along by whoever only knows their names.
    Call(
        "POST /customer/login",
        {"email": "$email", "password": "no", "cart_uuid": "$cart", "checkout_token": "$checkout"},
        ok=401,
    ),
    Call(
        "POST /customer/signup",
        {"username": "Eve", "email": "$email", "password": PASSWORD},
        ok=422,
        tells="a sign-up says email_taken, so often an hour and no more",
    ),
    Call("POST /customer/login/google", {"token": "e30.e30.e30"}, ok=401),
    Call("POST /customer/login/google", {"token": "e30.e30.e30", "email": "$email"}, ok=401),
    Call("POST /customer/login/facebook", {"token": "none", "email": "$email", "password": "no"}, ok=401),
    Call("GET /customer/oauth/$provider", ok=302),
    Call("GET /customer/oauth/$provider/callback", query={"state": "none", "code": "none"}, ok=302),
    Call("POST /customer/oauth/finish", {"code": "none", "email": "$email"}, ok=401),
    Call("POST /customer/password/forgot", {"email": "$email"}, ok=204),
    Call("GET /customer/password/token", query={"token": "$reset"}, is_key=True),
    Call(
        "POST /customer/password/reset",
        NEW_PASSWORD | {"password_reset_token": "$reset"},
        shows=LAST,
        is_key=True,
        once=True,
    ),
    Call(
        "POST /customer/login/reset-token",
        {"password_reset_token": "$reset"},
        shows=LAST,
        is_key=True,
        once=True,
    ),
    Call("POST /customer/login/uuid", {"uuid": "$link"}, shows=LAST, is_key=True, once=True),
    Call("POST /customer/login/uuid", {"uuid": "$order_link"}, shows=LAST, is_key=True, once=True),
    Call("POST /customer/email/verify", {"token": "$verify"}, ok=204, is_key=True, once=True),
)

NEWSLETTER = (
    Call("POST /subscriptions", {"email": "$email"}),
    Call("POST /subscriptions/confirm", {"token": "none"}, ok=404),
    Call("GET /subscriptions/$newsletter", is_key=True, shows="@example.com"),
    Call("GET /subscriptions/$mailed_newsletter", is_key=True, shows="@example.com"),
    Call(
        "PUT /subscriptions/$newsletter",
        {"name": "Eve", "day": 3, "month": 2, "year": 1990, "gender": "other"},
        is_key=True,
        shows="Eve",
    ),
    Call("POST /subscriptions/$newsletter/unsubscribe", {"unsubscribe_note": "no"}, is_key=True),
    Call("GET /subscriptions/$newsletter/unsubscribe", ok=303),
)

CART = (
    Call("GET /cart"),
    Call("GET /cart", query={"cart_uuid": "$cart"}),
    Call("POST /cart/items", LINE),
    Call("POST /cart/items", LINE | {"cart_uuid": "$cart"}),
    Call("PUT /cart/items", LINE | {"cart_uuid": "$cart"}),
    Call(
        "PUT /cart/items", {"product_id": "$variant", "quantity": 0, "cart_uuid": "$cart"}, ok=204, once=True
    ),
    Call("DELETE /cart/items", query={"product_id": "$variant", "cart_uuid": "$cart"}, ok=204),
    Call("POST /cart/merge", {"cart_uuid": "$cart", "merge": 1}),
    Call("POST /cart/merge", {"cart_uuid": "$cart", "merge": 0}),
)

CHECKOUT = (
    Call("POST /checkout", {"cart_uuid": "$cart"}, shows=STREET),
    Call("GET /checkout/$checkout", is_key=True, shows=STREET),
    Call("GET /checkout/$paid_checkout", query={"expand": "order"}, is_key=True, shows=STREET),
    Call("PUT /checkout/$checkout/customer", SOMEBODY, is_key=True, shows="12 Mill Lane"),
    Call("PUT /checkout/$checkout/shipping", {"shipping_option_id": "$option"}, is_key=True),
    Call("POST /checkout/$checkout/payment", {"payment_type": "manual", "amount": 1}, ok=409, is_key=True),
    Call("POST /checkout/$checkout/payment/$service", {"service": "test"}, is_key=True),
    Call("POST /checkout/$checkout/payment/$service/confirm", {"service": "test"}, ok=409, is_key=True),
)

ORDERS = (
    Call("GET /orders", shows=STREET),
    Call("GET /orders/$order", shows=STREET),
    Call("GET /orders/$order", headers={"X-Checkout-Token": "$paid_checkout"}, shows=STREET, is_key=True),
    Call("GET /orders/$order", headers={"X-Checkout-Token": "$checkout"}, shows=STREET),
    Call("POST /orders/find", {"order": "#1001", "email": "$email"}, ok=204),
    Call("POST /orders/$order/access", {"uuid": "$order_link"}, shows=STREET, is_key=True, once=True),
    Call("POST /orders/$order/access", {"uuid": "none"}, ok=404),
)

# Nobody's in particular.
OPEN = (
    Call("GET /headers"),
    Call("GET /options"),
    Call("GET /settings/customer-password"),
    Call("GET /products"),
    Call("GET /products/best-selling"),
    Call("GET /products/search", query={"q": "mug"}),
    Call("GET /products/types"),
    Call("GET /products/variants"),
    Call("GET /products/variants/by-ids", query={"product_ids[]": "$variant"}),
    Call("GET /products/variants/$variant"),
    Call("GET /products/$product"),
    Call("GET /collections"),
    Call("GET /collections/$collection"),
    Call("GET /collections/$collection/products"),
    Call("GET /categories"),
    Call("GET /category/$category"),
    Call("GET /category/$category/products"),
)

TABLE = (*CUSTOMER, *DOORS, *NEWSLETTER, *CART, *CHECKOUT, *ORDERS, *OPEN)
# Signed by a payment service, and asked by nobody else.
OF_SERVICES = {"POST /webhooks/{service}"}


@pytest.fixture(scope="module")
async def logins(redis_url) -> AsyncIterator[RedisSessions]:
    async with session_store(redis_url) as store:
        yield store


@pytest.fixture(scope="module")
async def shop(database_url, redis_url, sessions) -> AsyncIterator[httpx.AsyncClient]:
    async with social_shop(database_url, redis_url, sessions) as made:
        yield made.client


@pytest.fixture(scope="module")
async def place(sessions):
    """Two stores, and what everybody finds in the first."""
    here, elsewhere = await make_store(sessions), await make_store(sessions)
    await fill(sessions, here)
    endless = VariantDraft(
        price=2500, sku="ENDLESS", inventory_management="shopify", stock=StockDraft(on_hand=1_000_000)
    )
    draft = tent(handle="endless-tent", options=(), images=(), variants=(endless,))
    async with transaction(sessions) as session:
        (product_id,) = await save_products(session, here.id, [draft], now=utc_now())
        variant = await session.scalar(select(Variant.id).where(Variant.product_id == product_id))
    shared = {
        "variant": variant,
        "option": await open_till(sessions, here),
        "product": draft.handle,
        "collection": "by-hand",
        "category": "camp",
        "service": "test",
        "provider": NAME,
    }
    return (here, elsewhere), shared


@pytest.fixture(scope="module")
async def password_digest() -> str:
    hasher = create_hasher(settings_for("postgresql://none", "redis://none"))
    digest = await hasher.hash(PASSWORD)
    hasher.close()
    return digest


@pytest.fixture
def new_world(shop, sessions, logins, place, password_digest) -> Callable[[], Awaitable[World]]:
    stores, shared = place
    return partial(make_world, shop, sessions, logins, stores, shared, password_digest=password_digest)


def name_of(asked: Call) -> str:
    return f"{asked.route} {' '.join(sorted(asked.names))}".strip()


@pytest.mark.parametrize("asked", TABLE, ids=name_of)
async def test_what_is_anothers_is_as_if_it_were_not_there(asked: Call, new_world):
    modes = [mode for mode in MODES if asked.body is not None or mode.endswith("JSON")]
    world = await new_world()
    before = await world.snapshot()
    faults = [fault for mode in modes for fault in await trespasses(world, asked, mode)]
    assert faults == []
    assert await world.snapshot() == before
    for mode in modes:
        answer = await world.call("customer A", mode, asked, world.theirs)
        assert answer.status_code == asked.ok, (mode, answer.text)
        assert asked.shows in answer.text, mode
        if asked.once and mode != modes[-1]:
            world = await new_world()


async def trespasses(world: World, asked: Call, mode: Mode) -> list[str]:
    """What others learn by a call that they should not."""
    faults = []
    answers = {}
    for who in OTHERS:
        unknown = world.nobodys()
        missing = answers[who] = await world.call(who, mode, asked, unknown)
        faults += [f"{who} reads {text!r}" for text in leaks(world, asked, unknown, missing)]
        if not asked.names or (asked.is_key and not who.endswith("at home")):
            continue
        theirs = await world.call(who, mode, asked, world.theirs)
        faults += [f"{who} reads {text!r} of A's" for text in leaks(world, asked, world.theirs, theirs)]
        if shape(theirs) != shape(missing) and not asked.tells:
            faults.append(f"{who} can tell: {shape(theirs)} for A's, {shape(missing)} for nobody's")
    for who in NOBODIES:
        if shape(answers[who]) != shape(answers["nobody"]):
            faults.append(f"{who} is not nobody: {shape(answers[who])}, {shape(answers['nobody'])}")
    return [f"by {mode}: {fault}" for fault in faults]


def test_every_route_of_the_storefront_stands_in_the_table(database_url, redis_url):
    app = create_app(settings_for(database_url, redis_url))
    there = {
        route.name.replace("/storefront/v1", "")
        for route in routes(app, methods=UNSAFE | {"GET"})
        if route.template.startswith(SURFACE)
    }
    walked = {asked.template for asked in TABLE}
    assert there - walked == OF_SERVICES
    assert walked - there == set()


@pytest.mark.parametrize("mode", ["bearer, JSON", "cookie, JSON"])
async def test_the_identities_are_who_they_are_said_to_be(new_world, mode: Mode):
    world = await new_world()
    for who, status in [(who, 401) for who in NOBODIES] + [("customer A", 200), ("customer B", 200)]:
        answer = await world.call(who, mode, Call("GET /customer"), {})
        assert answer.status_code == status, who
        assert (FIRST in answer.text) == (who == "customer A")
