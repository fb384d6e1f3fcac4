"""The checkout: from a cart to a placed order (contract rows B30 to B36)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.params import FromPath, FromQuery, QueryParameter, RequestBody

from app.api.answers import Answer
from app.api.caching import NO_STORE
from app.api.dependencies import GivenActor, GivenGate, GivenNow, GivenSession, GivenShop, GivenStore, Shop
from app.api.expand import parse_expand
from app.api.idempotency import answered, read_key
from app.api.limits import Id, Line, Token
from app.api.openapi import ACCEPT_LANGUAGE, EXAMPLE, KEYED, READS, X_SESSION
from app.api.rate_limits import AFTER_FORM, LIMIT, count_call
from app.api.request import ShopRequest
from app.api.storefront.cart_shapes import StorefrontWarning, show_warnings
from app.api.storefront.carts import SOME_CART, read_uuid
from app.api.storefront.checkout_accounts import hash_for_account, make_account
from app.api.storefront.checkout_customers import CheckoutCustomer, Uuid, check_customer, fill_customer
from app.api.storefront.discounts import (
    StorefrontApplied,
    StorefrontCoupon,
    show_applied,
    show_coupon,
    show_line_discounts,
)
from app.api.storefront.logins import Arriving
from app.api.storefront.orders import (
    OrderName,
    StorefrontCheckoutLine,
    StorefrontOrder,
    StorefrontTotals,
    show_order,
)
from app.api.storefront.upsells import StorefrontUpsell, show_upsell
from app.api.transactions import once, transactional
from app.db import idempotency
from app.db.statements import begin_together
from app.domain.accounts.signing import NewAccount
from app.domain.carts.errors import cart_not_found
from app.domain.checkout.asking import ask_carriers
from app.domain.checkout.completing import AT_ONCE
from app.domain.checkout.consents import consents_of
from app.domain.checkout.coupons import put_checkout_code
from app.domain.checkout.funnel import list_funnel
from app.domain.checkout.opening import open_checkout
from app.domain.checkout.parts import FREE
from app.domain.checkout.placing import totals_of
from app.domain.checkout.queries import (
    CheckoutView,
    get_checkout,
    get_checkout_by_id,
    lock_checkout,
    view_checkout,
)
from app.domain.checkout.service import (
    check_editable,
    choose_shipping,
    set_customer,
    take_editable_with_cart,
)
from app.domain.checkout.states import EDITABLE, CheckoutState
from app.domain.customers.passwords import check_password
from app.domain.giftcards.split import Split
from app.domain.orders.queries import get_order
from app.domain.promotions.quotes import Quote
from app.domain.stores.queries import StoreConfig
from app.domain.stores.shipping import Shipping
from app.kit.clock import isoformat
from app.kit.ids import digest
from app.kit.languages import wanted_languages
from app.kit.places import find_country, find_time_zone

SOMEBODY = {
    "email": "ada@example.com",
    "shipping_address": {
        "first_name": "Ada",
        "last_name": "Berg",
        "address_one": "12 Mill Lane",
        "city": "Portland",
        "zip": "97201",
        "country": "United States",
        "region": "Oregon",
        "phone": "+1 503 555 0123",
    },
}


class OpenCheckout(msgspec.Struct, forbid_unknown_fields=True):
    cart_uuid: Uuid
    identity: Line | None = None
    coupon: Line | None = None


class ChooseShipping(msgspec.Struct, forbid_unknown_fields=True):
    shipping_option_id: Id
    checkout_token: Token | None = None


class StorefrontService(msgspec.Struct):
    name: str
    title: str
    public_key: str | None = None


class StorefrontGiftCard(msgspec.Struct):
    """The gift card that is on a checkout, and what it pays: 0 where nothing on it can be spent any more."""

    last_four: str
    amount: int


class StorefrontConsent(msgspec.Struct):
    """What the store asks buyers to agree to; `given_at` is null while they have not."""

    key: str
    text: str
    required: bool
    given_at: str | None


class StorefrontCheckout(msgspec.Struct, kw_only=True):
    """A checkout: until it is paid a view of its cart with today's prices.

    `auth_key` comes where the call has just made an account, as in a login.
    """

    checkout_token: str
    state: str
    currency: str
    cart_uuid: str
    email: str | None
    customer_id: int | None
    items: list[StorefrontCheckoutLine]
    shipping_address: dict[str, Any] | None
    billing_address: dict[str, Any] | None
    billing_same_as_shipping: bool
    shipping_options: list[Shipping]
    shipping_option_id: int | None
    coupon: StorefrontCoupon | None
    discounts: list[StorefrontApplied]
    totals: StorefrontTotals
    gift_card: StorefrontGiftCard | None
    use_store_credit: bool
    tax_included: bool
    payment_services: list[StorefrontService]
    order: OrderName | None
    unavailable_items: list[int]
    # The cart's note, which the order takes along; what changed since things were added; what to agree to.
    note: str | None
    warnings: list[StorefrontWarning]
    consents: list[StorefrontConsent]
    expires_at: str
    auth_key: str | msgspec.UnsetType = msgspec.UNSET
    # Where `funnel` asked for it.
    funnel: list[StorefrontUpsell] | msgspec.UnsetType = msgspec.UNSET


def show_services(
    store: StoreConfig, shop: Shop, currencies: Iterable[str], *, due: int = 0
) -> list[StorefrontService]:
    """The services that can be used now: set up by the store, known to this installation, and taking what is due.

    In minor units of one of the currencies; 0 is a sum that is not known yet, or that leaves nothing to take.
    """
    services = []
    for choice in store.payment_services:
        if choice.name in AT_ONCE:
            services.append(StorefrontService(choice.name, choice.title))
            continue
        service = shop.till.services.get(choice.name)
        if service is not None and any(service.takes(due, currency) for currency in currencies):
            key = service.public_settings().get("public_key")
            services.append(StorefrontService(choice.name, choice.title, key))
    return services


def show_ways(store: StoreConfig, shop: Shop, quote: Quote, *, due: int) -> list[StorefrontService]:
    """The services, and where nothing is left to pay the way to say so, which is no matter of the store's."""
    services = show_services(store, shop, [quote.currency], due=due)
    if quote.total == 0 and all(service.name != FREE for service in services):
        services.append(StorefrontService(FREE, "Nothing to pay"))
    return services


def show_gift_card(split: Split) -> StorefrontGiftCard | None:
    return StorefrontGiftCard(split.last_four, split.gift_card) if split.last_four else None


def show_checkout(
    view: CheckoutView, store: StoreConfig, shop: Shop, *, order: StorefrontOrder | None = None
) -> StorefrontCheckout:
    checkout, quote = view.checkout, view.quote
    name = None
    if checkout.state == CheckoutState.COMPLETED and checkout.order_id is not None:
        name = order or OrderName(checkout.order_id, view.order_name)
    shipping = checkout.shipping_address
    totals = totals_of(quote, view.split)
    return StorefrontCheckout(
        checkout_token=checkout.token,
        state=view.state,
        currency=quote.currency,
        cart_uuid=view.cart_uuid,
        email=checkout.email,
        customer_id=checkout.customer_id,
        items=[
            StorefrontCheckoutLine(
                variant_id=quoted.line.variant_id,
                product_id=quoted.line.product_id,
                title=quoted.line.title,
                variant_title=quoted.line.variant_title,
                sku=quoted.line.sku,
                quantity=quoted.line.quantity,
                price=quoted.line.price,
                line_price=quoted.line_price,
                total_discount=quoted.discount,
                discounts=show_line_discounts(quoted.discounts),
                tax=quoted.tax,
                requires_shipping=quoted.line.requires_shipping,
                image=quoted.line.image,
                gift=quoted.line.gift,
            )
            for quoted in quote.lines
        ],
        shipping_address=shipping,
        billing_address=shipping if checkout.billing_same_as_shipping else checkout.billing_address,
        billing_same_as_shipping=checkout.billing_same_as_shipping,
        shipping_options=list(view.choices),
        shipping_option_id=quote.shipping_option.id if quote.shipping_option else None,
        coupon=show_coupon(quote.coupon),
        discounts=show_applied(quote.applied),
        totals=StorefrontTotals(**totals),
        gift_card=show_gift_card(view.split),
        use_store_credit=checkout.use_store_credit,
        tax_included=quote.tax_included,
        payment_services=show_ways(store, shop, quote, due=totals["due"]),
        order=name,
        unavailable_items=list(view.missing),
        note=view.note,
        warnings=show_warnings(view.changes),
        consents=[
            StorefrontConsent(rule.key, rule.text, rule.required, given_at)
            for rule, given_at in consents_of(store, checkout)
        ],
        expires_at=isoformat(checkout.expires_at),
    )


async def _ask(
    request: ShopRequest,
    shop: Shop,
    store: StoreConfig,
    token: str,
    *,
    address: dict[str, Any] | None,
    now: datetime,
) -> None:
    """Let carriers say what they ask, before the call's own transaction has begun: a carrier may take its time."""

    async def ask() -> None:
        await ask_carriers(shop.sessions, shop.carriers, store, token=token, address=address, now=now)

    await once(request, "carriers", ask)


class CheckoutController(Controller):
    """The token is the only handle that a guest needs."""

    path = "/checkout"
    tags = ("Checkout",)

    @post(
        "/",
        status_code=200,
        operation_id="openCheckout",
        summary="Open a checkout",
        opt={LIMIT: "checkout", AFTER_FORM: True, EXAMPLE: {"cart_uuid": SOME_CART}, KEYED: True},
    )
    @transactional
    async def open(
        self,
        request: ShopRequest,
        data: RequestBody[OpenCheckout],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StorefrontCheckout]:
        """A checkout of a cart; a cart that has an open one answers that one. Takes Idempotency-Key.

        `coupon` puts a code on the cart, as PUT /checkout/{checkout_token}/coupon does, and counts as that does.
        """
        await count_call(request, "coupon" if data.coupon else None)
        uuid = read_uuid(data.cart_uuid)
        if uuid is None:
            raise cart_not_found()
        key = await read_key(request, caller=digest(data.cart_uuid).hex())
        made = await idempotency.claim(
            session, store.id, key, now=now, keep_seconds=shop.settings.idempotency_seconds
        )
        before = await get_checkout_by_id(session, store.id, made["checkout_id"]) if made else None
        # A key belongs to whoever knows the cart; the checkout may be a customer's by now.
        replayed = before is not None and before.customer_id in (None, actor.visitor())
        if before is not None and replayed:
            view = await view_checkout(session, store, before, now=now)
        else:
            if data.coupon:
                await begin_together(session)  # a code that is refused leaves no checkout behind
            view = await open_checkout(
                session,
                store,
                cart_uuid=uuid,
                customer_id=actor.visitor(),
                identity=data.identity,
                now=now,
                keep_seconds=shop.settings.checkout_seconds,
            )
            if data.coupon:
                check_editable(view.checkout, now=now)
                checkout = await lock_checkout(session, store.id, view.checkout.token)
                view = await put_checkout_code(session, store, checkout, code=data.coupon, now=now)
            await idempotency.keep(session, store.id, key, {"checkout_id": view.checkout.id})
        return answered(show_checkout(view, store, shop), replayed=replayed)

    @get("/{checkout_token:str}", operation_id="getCheckout", summary="Read a checkout")
    @transactional
    async def read(
        self,
        request: ShopRequest,
        checkout_token: FromPath[str],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
        expand: Annotated[str | None, QueryParameter(max_length=200)] = None,
        funnel: FromQuery[bool] = False,
    ) -> Response[StorefrontCheckout]:
        """The checkout, prices fresh until paying; `expand=order` answers the whole order.

        `funnel` adds what goes with the things in it and can be had now; nothing once it is being paid.
        """
        await _ask(request, shop, store, checkout_token, address=None, now=now)
        checkout = await get_checkout(session, store.id, checkout_token)
        view = await view_checkout(session, store, checkout, now=now)
        order = None
        if (
            "order" in parse_expand(expand, ("order",))
            and checkout.state == CheckoutState.COMPLETED
            and checkout.order_id
        ):
            found = await get_order(
                shop.reads,
                store.id,
                checkout.order_id,
                customer_id=actor.customer_id,
                checkout_token=checkout.token,
            )
            order = show_order(found, to_buyer=True)
        shown = show_checkout(view, store, shop, order=order)
        if funnel:
            open_still = view.state in EDITABLE
            near = await list_funnel(session, store, view.quote) if open_still else []
            shown.funnel = [show_upsell(item) for item in near]
        return Answer(shown, headers=NO_STORE)

    @put(
        "/{checkout_token:str}/customer",
        operation_id="setCheckoutCustomer",
        summary="Who and where to",
        opt={READS: (X_SESSION, ACCEPT_LANGUAGE), LIMIT: "checkout", EXAMPLE: SOMEBODY},
    )
    @transactional
    async def customer(
        self,
        request: ShopRequest,
        checkout_token: FromPath[str],
        data: RequestBody[CheckoutCustomer],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StorefrontCheckout]:
        """Mail address and addresses; the answer has the shipping options that reach the address.

        Of a customer, an address's `id` fills what the call leaves out from the address book, another's id is a
        404, and the mail address may be left out: the order then goes to the account's.
        A guest's `password` makes an account in the same step, and logs in. Where the mail address has one
        already the call goes on as a guest's, as it does while accounts cannot be made.
        """
        actor.visitor()
        data = await fill_customer(shop.sessions, store, actor, data)
        email, shipping, billing = check_customer(store, data)
        person = shipping or billing
        assert person is not None  # check_customer saw to it
        digested = None
        if data.password and actor.kind == "guest":
            password = check_password(data.password, names=(email, person.first_name, person.last_name))
            digested = await hash_for_account(
                request, shop=shop, store=store, gate=gate, email=email, password=password
            )
        goes_to = shipping.as_json() if shipping else None
        await _ask(request, shop, store, checkout_token, address=goes_to, now=now)
        if digested is not None or data.note is not msgspec.UNSET:
            await begin_together(session)  # the account, or the cart's note, is written with it
        checkout, cart = await take_editable_with_cart(
            session, store, checkout_token, now=now, keep_seconds=shop.settings.checkout_seconds
        )
        view = await set_customer(
            session,
            store,
            checkout,
            cart,
            email=email,
            shipping_address=goes_to,
            billing_address=billing.as_json() if billing else None,
            subscribe=data.subscribe,
            consents=data.consents,
            note=data.note,
            facts={
                "identity": data.identity,
                "time_zone": data.time_zone,
                "detected_country": data.detected_country,
            },
            now=now,
        )
        made = None
        if digested is not None:
            made = await make_account(
                request,
                session,
                shop=shop,
                store=store,
                gate=gate,
                new=NewAccount(
                    email=email,
                    username=f"{person.first_name} {person.last_name}",
                    password_digest=digested,
                    firstname=person.first_name,
                    lastname=person.last_name,
                    subscribe=data.subscribe,
                    country=find_country(data.detected_country or ""),
                    time_zone=find_time_zone(data.time_zone or ""),
                    language=wanted_languages(request.headers.get("accept-language")),
                    identity=data.identity,
                    invited_by_token=data.invited_by_token,
                ),
                brought=Arriving(
                    cart_uuid=data.cart_uuid,
                    skip_cart_merge=data.skip_cart_merge,
                    checkout_token=checkout.token,
                ),
                now=now,
            )
            await session.refresh(
                checkout
            )  # as it is now, also where what the account changed was taken back
        if made is None:
            return Answer(show_checkout(view, store, shop), headers=NO_STORE)
        shown = show_checkout(await view_checkout(session, store, checkout, now=now), store, shop)
        shown.auth_key = made.content.auth_key
        return Answer(shown, headers=NO_STORE, cookies=made.cookies)

    @put(
        "/{checkout_token:str}/shipping",
        operation_id="setCheckoutShipping",
        summary="Choose shipping",
        opt={LIMIT: "checkout", EXAMPLE: {"shipping_option_id": 1}},
    )
    @transactional
    async def shipping(
        self,
        request: ShopRequest,
        checkout_token: FromPath[str],
        data: RequestBody[ChooseShipping],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
    ) -> Response[StorefrontCheckout]:
        """Picks a shipping option; the totals follow."""
        await _ask(request, shop, store, checkout_token, address=None, now=now)
        checkout, cart = await take_editable_with_cart(
            session, store, checkout_token, now=now, keep_seconds=shop.settings.checkout_seconds
        )
        view = await choose_shipping(
            session, store, checkout, cart, option_id=data.shipping_option_id, now=now
        )
        return Answer(show_checkout(view, store, shop))
