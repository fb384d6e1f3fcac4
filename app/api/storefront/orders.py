"""Orders as their buyers see them (contract rows B39, B40, B42 and B48)."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, HeaderParameter, QueryParameter, RequestBody

from app.api.caching import NO_STORE
from app.api.dependencies import (
    LOGIN_NEEDED,
    GivenActor,
    GivenGate,
    GivenNow,
    GivenReads,
    GivenSession,
    GivenShop,
    GivenStore,
)
from app.api.expand import parse_expand
from app.api.limits import MAX_ID, Id, PathId, Token, Word
from app.api.openapi import EXAMPLE, READS, X_SESSION
from app.api.paging import PageAnswer, page_answer
from app.api.rate_limits import LIMIT
from app.api.request import ShopRequest
from app.api.storefront.discounts import StorefrontDiscount, show_line_discounts, show_order_discount
from app.api.storefront.logins import Arriving, answer_login
from app.api.storefront.parcels import StorefrontFulfilment, show_packed
from app.api.transactions import transactional
from app.domain.accounts.entering import enter_by_order
from app.domain.giftcards.split import KINDS
from app.domain.orders.queries import OrderBy, OrderView, get_order, list_orders, load_order
from app.domain.orders.service import ask_for_order_link, use_order_link
from app.kit.clock import isoformat
from app.kit.paging import PageRequest
from app.kit.places import email_form

EXPANDS = ("fulfilment", "discount", "gift", "verify_payment_files")

# What the shopper is told of an attempt to pay.
PAYMENT_STATUS = {
    "started": "pending",
    "action_needed": "pending",
    "unknown": "pending",
    "pending": "pending",
    "authorized": "authorized",
    "captured": "paid",
    "declined": "failed",
    "cancelled": "failed",
    "late": "failed",
}


class FindOrder(msgspec.Struct, forbid_unknown_fields=True):
    """`order` as "#1001" or 1001."""

    order: Word | Id
    email: Annotated[str, msgspec.Meta(max_length=254)]


class OpenOrder(msgspec.Struct, forbid_unknown_fields=True):
    """`uuid` is the secret of a mailed link."""

    uuid: Token
    id: Id | None = None


class StorefrontCheckoutLine(msgspec.Struct, kw_only=True):
    """A line as it is bought, in a checkout and in its order. Minor units."""

    variant_id: int
    product_id: int
    title: str
    variant_title: str
    sku: str | None
    quantity: int
    price: int
    line_price: int
    total_discount: int
    discounts: list[StorefrontDiscount]
    tax: int
    requires_shipping: bool
    image: str | None
    # Given for nothing: its price is 0.
    gift: bool


class StorefrontOrderLine(StorefrontCheckoutLine, kw_only=True):
    id: int


class StorefrontTotals(msgspec.Struct):
    """Minor units. Where tax_included, `tax` is contained in the others and not added.

    `gift_card` and `store_credit` are what they pay of the total; `due` is the rest, which a service is charged.
    """

    items: int
    discount: int
    shipping: int
    tax: int
    total: int
    gift_card: int
    store_credit: int
    due: int


class StorefrontPayment(msgspec.Struct):
    id: int
    service: str
    status: str
    amount: int
    refunded: int


class StorefrontRefund(msgspec.Struct):
    payment_id: int
    amount: int
    currency: str


class StorefrontCancellation(msgspec.Struct):
    """What the buyer asked for, or the shop did; `status` is requested, accepted or refused."""

    status: str
    reason: str
    note: str


class StorefrontEvent(msgspec.Struct):
    at: str
    event: str
    detail: str


class StorefrontGiven(msgspec.Struct):
    """What a buyer agreed to, in the words that they read, and when."""

    key: str
    text: str
    at: str


class OrderName(msgspec.Struct):
    """Which order it is; where `expand=order` asks for it, the whole order stands in its place."""

    id: int
    number: str | None


class StorefrontOrder(OrderName, kw_only=True):
    """An order as it was bought. Money in minor units of its currency."""

    status: str
    payment_status: str
    fulfilment_status: str
    currency: str
    tax_included: bool
    email: str
    items: list[StorefrontOrderLine]
    shipping_address: dict[str, Any] | None
    billing_address: dict[str, Any] | None
    shipping_option: dict[str, Any] | None
    totals: StorefrontTotals
    total_price: int
    # What the buyer wrote, and what they agreed to, in the words that they read.
    note: str | None
    attributes: list[dict[str, str]]
    consents: list[StorefrontGiven]
    payments: list[StorefrontPayment]
    refunds: list[StorefrontRefund]
    timeline: list[StorefrontEvent]
    cancellation: StorefrontCancellation | None = None
    checkout_token: str | None
    created_at: str
    paid_at: str | None
    # Where a mailed link has just logged in, as in a login.
    auth_key: str | msgspec.UnsetType = msgspec.UNSET
    fulfilment: StorefrontFulfilment | msgspec.UnsetType = msgspec.UNSET
    discount: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    gift: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    verify_payment_files: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def _totals(order: OrderView) -> StorefrontTotals:
    paid = {kind: sum(p.amount for p in order.payments if p.service == kind) for kind in KINDS}
    return StorefrontTotals(
        items=order.items_total,
        discount=order.discount_total,
        shipping=order.shipping_total,
        tax=order.tax_total,
        total=order.total,
        **paid,
        due=order.total - sum(paid.values()),
    )


def show_order(order: OrderView, *, to_buyer: bool, expand: frozenset[str] = frozenset()) -> StorefrontOrder:
    shown = StorefrontOrder(
        id=order.id,
        number=order.name,
        status=order.status,
        payment_status=order.payment_status,
        fulfilment_status=order.fulfilment_status,
        currency=order.currency,
        tax_included=order.tax_included,
        email=order.email,
        items=[
            StorefrontOrderLine(
                id=line.id,
                variant_id=line.variant_id,
                product_id=line.product_id,
                title=line.title,
                variant_title=line.variant_title,
                sku=line.sku,
                quantity=line.quantity,
                price=line.price,
                line_price=line.line_price,
                total_discount=line.discount,
                discounts=show_line_discounts(line.discounts),
                tax=line.tax,
                requires_shipping=line.requires_shipping,
                image=line.image,
                gift=line.gift,
            )
            for line in order.lines
        ],
        shipping_address=order.shipping_address,
        billing_address=order.billing_address,
        shipping_option=order.shipping_option,
        totals=_totals(order),
        total_price=order.total,
        note=order.note,
        attributes=list(order.attributes),
        consents=[StorefrontGiven(**given) for given in order.consents],
        payments=[
            StorefrontPayment(p.id, p.service, PAYMENT_STATUS[p.state], p.amount, p.refunded)
            for p in order.payments
        ],
        refunds=[StorefrontRefund(p.id, p.refunded, order.currency) for p in order.payments if p.refunded],
        timeline=[StorefrontEvent(isoformat(e.at), e.event, e.detail) for e in order.events],
        cancellation=StorefrontCancellation(
            order.cancellation.status, order.cancellation.reason, order.cancellation.note
        )
        if order.cancellation
        else None,
        checkout_token=order.checkout_token if to_buyer else None,
        created_at=isoformat(order.created_at),
        paid_at=isoformat(order.paid_at) if order.paid_at else None,
    )
    if "fulfilment" in expand:
        shown.fulfilment = StorefrontFulfilment(
            order.fulfilment_status, [show_packed(parcel) for parcel in order.parcels]
        )
    if "discount" in expand:
        shown.discount = show_order_discount(
            order.discounts, code=order.coupon_code, amount=order.discount_total
        )
    if "gift" in expand:
        shown.gift = {"items": [line for line in shown.items if line.gift]}
    if "verify_payment_files" in expand:
        shown.verify_payment_files = {"files": []}
    return shown


def read_number(sent: str | int) -> int | None:
    """An order number as people write it: #1342 or 1342."""
    text = str(sent).strip().lstrip("#")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    return number if 0 < number <= MAX_ID else None


class OrderController(Controller):
    """An order answers to its buyer only; anybody else's is a 404."""

    path = "/orders"
    tags = ("Orders",)

    @get("/", operation_id="listOrders", summary="The customer's orders", dependencies=LOGIN_NEEDED)
    async def list(
        self,
        request: ShopRequest,
        reads: GivenReads,
        store: GivenStore,
        actor: GivenActor,
        paging: NamedDependency[PageRequest],
        order_by: FromQuery[OrderBy] = "created_at",
        order_type: FromQuery[Literal["asc", "desc"]] = "desc",
        expand: Annotated[str | None, QueryParameter(max_length=200)] = None,
    ) -> Response[PageAnswer[StorefrontOrder]]:
        """The orders of whoever is logged in, the newest first unless `order_by` and `order_type` say otherwise."""
        wanted = parse_expand(expand, EXPANDS)
        found = await list_orders(
            reads,
            store.id,
            customer_id=actor.customer(),
            paging=paging,
            order_by=order_by,
            descending=order_type == "desc",
        )
        shown = [show_order(order, to_buyer=True, expand=wanted) for order in found.items]
        return Response(page_answer(request, paging, shown, found.total), headers=NO_STORE)

    @get("/{order_id:int}", operation_id="getOrder", summary="One order")
    async def read(
        self,
        order_id: PathId,
        reads: GivenReads,
        store: GivenStore,
        actor: GivenActor,
        checkout_token: Annotated[
            str | None, HeaderParameter(name="X-Checkout-Token", max_length=200)
        ] = None,
        expand: Annotated[str | None, QueryParameter(max_length=200)] = None,
    ) -> Response[StorefrontOrder]:
        """The order, for its customer or whoever sends its checkout's token as X-Checkout-Token."""
        wanted = parse_expand(expand, EXPANDS)
        # Whoever has the checkout's token needs no login, nor one that is still in force.
        customer_id = actor.known().visitor() if checkout_token is None else actor.customer_id
        order = await get_order(
            reads, store.id, order_id, customer_id=customer_id, checkout_token=checkout_token
        )
        return Response(show_order(order, to_buyer=True, expand=wanted), headers=NO_STORE)

    @post(
        "/find",
        status_code=204,
        operation_id="findOrder",
        summary="Mail a link to an order",
        opt={LIMIT: "lookup", EXAMPLE: {"order": "#1001", "email": "ada@example.com"}},
    )
    @transactional
    async def find(
        self,
        data: RequestBody[FindOrder],
        session: GivenSession,
        store: GivenStore,
        now: GivenNow,
    ) -> None:
        """Number and mail address: where they belong together, a link is mailed. Always 204."""
        email = email_form(data.email)
        number = read_number(data.order)
        await ask_for_order_link(session, store.id, number=number or 0, email=email or "", now=now)

    @post(
        "/{order_id:int}/access",
        status_code=200,
        operation_id="openOrder",
        summary="Open a mailed link",
        opt={
            READS: (X_SESSION,),
            LIMIT: "lookup",
            EXAMPLE: {"uuid": "dJ0s3Vf8cXw1qk2uTz7mPb5nRy9aLh4eGo6iCx3vBt8"},
        },
    )
    @transactional
    async def access(
        self,
        order_id: PathId,
        request: ShopRequest,
        data: RequestBody[OpenOrder],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
    ) -> Response[StorefrontOrder]:
        """The order behind a mailed link; the link works once.

        That of an order in an account logs in too, where it was mailed to the account's address.
        """
        await use_order_link(session, store.id, order_id, secret=data.uuid, now=now)
        shown = show_order(await load_order(session, store.id, order_id), to_buyer=True)
        entered = await enter_by_order(session, store.id, order_id, now=now)
        if entered is None:
            return Response(shown, headers=NO_STORE)
        answer = await answer_login(
            request,
            session,
            shop=shop,
            store=store,
            gate=gate,
            customer=entered.customer,
            brought=Arriving(skip_cart_merge=True),
            now=now,
            ends_others=entered.was_planted,
        )
        shown.auth_key = answer.response.content.auth_key
        return Response(shown, headers=NO_STORE, cookies=answer.response.cookies)
