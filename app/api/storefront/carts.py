"""The cart: read, add, change, remove, and the guest's joining the customer's (contract rows B60 to B64)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter, RequestBody
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.answers import Answer
from app.api.caching import NO_STORE
from app.api.credentials import cart_cookie, find_cart_cookie, wants_cookie
from app.api.dependencies import (
    LOGIN_NEEDED,
    GivenActor,
    GivenNow,
    GivenReads,
    GivenSession,
    GivenShop,
    GivenStore,
)
from app.api.expand import parse_expand
from app.api.idempotency import answered, caller_of, read_key
from app.api.limits import CurrencyCode, Id, Quantity, QuantityOrNone, Token
from app.api.openapi import EXAMPLE, KEYED, QUERY, READS, X_SESSION
from app.api.openapi_security import CART
from app.api.request import ShopRequest, read_query_or_body
from app.api.storefront.cart_shapes import (
    MOST_ATTRIBUTES,
    NOTHING_BESIDE,
    Beside,
    CartAttribute,
    MergedCart,
    StorefrontCart,
    StorefrontCartLine,
    empty_cart,
    line_in,
    show_cart,
    show_line,
)
from app.api.storefront.wares import Expand
from app.api.transactions import transactional
from app.db import idempotency
from app.db.reads import Reads
from app.domain.carts.errors import cart_not_found
from app.domain.carts.pricing import list_cart_offers, quote_cart, quote_lean, read_cart_quote
from app.domain.carts.queries import CartItem, CartView, find_cart, find_cart_id, get_cart, load_cart
from app.domain.carts.service import add_item, remove_item, set_item
from app.domain.carts.words import CartWords, write_words
from app.domain.catalogue.beside import read_beside
from app.domain.checkout.claiming import Taken, take_cart
from app.domain.stores.queries import StoreConfig
from app.kit.actor import Actor
from app.kit.errors import NOT_FOUND, NotFound

SOME_CART = "3350b0bf-c517-4589-8092-5df7a29c0dd0"
CART_EXPANDS = frozenset({"related_products"})


class AddToCart(msgspec.Struct, forbid_unknown_fields=True):
    """`product_id` is a variant's id; without a `cart_uuid`, or with an unknown one, a new cart is made.

    `currency` is that of a new cart, the store's own where it is left out; a cart that is there keeps its own.
    """

    product_id: Id
    quantity: Quantity
    cart_uuid: Token | None = None
    currency: CurrencyCode | None = None


class ChangeCart(msgspec.Struct, forbid_unknown_fields=True):
    """Sets how many of a variant the cart holds; 0 removes the line."""

    product_id: Id
    quantity: QuantityOrNone
    cart_uuid: Token


class RemoveFromCart(msgspec.Struct, forbid_unknown_fields=True):
    product_id: Id
    cart_uuid: Token


class MergeCart(msgspec.Struct, forbid_unknown_fields=True):
    """`merge` 1 adds the guest's lines to the customer's, 0 lets them take their place."""

    cart_uuid: Token | None = None
    merge: bool | Literal["0", "1"] = True


class DescribeCart(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is. Without a `cart_uuid` the customer's cart is meant, or that of a cookie.

    The order takes `note` and `attributes` along. `currency` is one of GET /options: prices follow it.
    """

    cart_uuid: Token | None = None
    note: Annotated[str, msgspec.Meta(max_length=2000)] | msgspec.UnsetType | None = msgspec.UNSET
    attributes: (
        Annotated[list[CartAttribute], msgspec.Meta(max_length=MOST_ATTRIBUTES)] | msgspec.UnsetType
    ) = msgspec.UNSET
    currency: CurrencyCode | msgspec.UnsetType = msgspec.UNSET


def read_uuid(sent: str | None) -> UUID | None:
    """A cart's uuid; what is none names no cart."""
    try:
        return UUID(sent) if sent else None
    except ValueError:
        return None


def which_cart(request: ShopRequest, actor: Actor, sent: str | None) -> UUID | None:
    """The cart that is meant; None is the customer's. Raises NotFound where none can be."""
    if sent or actor.known().customer_id is None:
        uuid = read_uuid(sent or find_cart_cookie(request))
        if uuid is None:
            raise cart_not_found()
        return uuid
    return None


class CartController(Controller):
    """A cart belongs to whoever knows its uuid. Prices are always the catalogue's."""

    path = "/cart"
    tags = ("Cart",)

    @get("/", operation_id="getCart", summary="Read a cart", opt={CART: True})
    async def read(
        self,
        request: ShopRequest,
        reads: GivenReads,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
        cart_uuid: Annotated[str | None, QueryParameter(max_length=64)] = None,
        expand: Expand = None,
    ) -> Response[StorefrontCart]:
        """The cart of a uuid; without one the customer's, or an empty answer. Nothing is written.

        `expand=related_products` adds to each line what goes with it.
        """
        wanted = parse_expand(expand, CART_EXPANDS)
        if cart_uuid:
            uuid = read_uuid(cart_uuid)
            if uuid is None:
                raise cart_not_found()
            cart = await get_cart(reads, store, uuid=uuid, customer_id=actor.visitor(), now=now)
        else:
            found = await _find_unnamed(request, reads, store, actor, now=now)
            if found is None:
                return Answer(empty_cart(store.currency), headers=NO_STORE)
            cart = found
        quote = await read_cart_quote(reads, store, cart, customer_id=actor.customer_id, now=now)
        beside = await _read_beside(reads, store, cart.items, wanted)
        return Answer(show_cart(cart, quote, beside), headers=NO_STORE)

    @post(
        "/items",
        status_code=200,
        operation_id="addCartItem",
        summary="Add to the cart",
        opt={READS: (X_SESSION,), CART: True, EXAMPLE: {"product_id": 1, "quantity": 2}, KEYED: True},
    )
    @transactional
    async def add(
        self,
        request: ShopRequest,
        data: RequestBody[AddToCart],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
        expand: Expand = None,
    ) -> Response[StorefrontCartLine]:
        """Adds units of a variant; the answer is the line, with `cart_uuid` beside it.

        Over stock, over 999 in a line or below 1 is a 422. Takes Idempotency-Key and `expand=related_products`.
        """
        settings, wanted = shop.settings, parse_expand(expand, CART_EXPANDS)
        uuid, customer_id = read_uuid(data.cart_uuid), actor.visitor()
        # A customer's next line must not land in a guest's cart.
        if uuid is None and actor.known().customer_id is None:
            uuid = read_uuid(find_cart_cookie(request))
        key = await read_key(request, caller=caller_of(actor, data.cart_uuid))
        made = await idempotency.claim(
            session, store.id, key, now=now, keep_seconds=settings.idempotency_seconds
        )
        if made is not None:
            uuid = UUID(made["cart"])
            line = await _find_line(shop.reads, store, actor, uuid, data.product_id, wanted, now=now)
        else:
            uuid, entry = await add_item(
                session,
                store,
                uuid=uuid,
                customer_id=customer_id,
                variant_id=data.product_id,
                quantity=data.quantity,
                currency=data.currency,
                now=now,
                keep_seconds=settings.cart_seconds,
            )
            await idempotency.keep(session, store.id, key, {"cart": str(uuid)})
            quote = await quote_lean(session, store, uuid=uuid, customer_id=actor.customer_id, now=now)
            beside = await _read_beside(shop.reads, store, [entry], wanted)
            line = show_line(entry, str(uuid), line_in(quote, entry.variant_id), beside)
        answer = answered(line, replayed=made is not None)
        if wants_cookie(request) and customer_id is None:
            answer.set_cookie(cart_cookie(str(uuid), seconds=settings.cart_seconds))
        return answer

    @put(
        "/items",
        operation_id="setCartItem",
        summary="Set a quantity",
        responses={204: ResponseSpec(None, description="The line was removed.")},
        opt={EXAMPLE: {"product_id": 1, "quantity": 3, "cart_uuid": SOME_CART}},
    )
    @transactional
    async def change(
        self,
        data: RequestBody[ChangeCart],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
        expand: Expand = None,
    ) -> Response[StorefrontCartLine | None]:
        """Sets how many of a variant the cart holds; 0 removes the line and answers 204.

        `expand=related_products` adds what goes with it.
        """
        wanted = parse_expand(expand, CART_EXPANDS)
        uuid = read_uuid(data.cart_uuid)
        if uuid is None:
            raise cart_not_found()
        entry = await set_item(
            session,
            store,
            uuid=uuid,
            customer_id=actor.visitor(),
            variant_id=data.product_id,
            quantity=data.quantity,
            now=now,
            keep_seconds=shop.settings.cart_seconds,
        )
        if entry is None:
            return Answer(None, status_code=204)
        quote = await quote_lean(session, store, uuid=uuid, customer_id=actor.customer_id, now=now)
        beside = await _read_beside(shop.reads, store, [entry], wanted)
        return Answer(show_line(entry, str(uuid), line_in(quote, entry.variant_id), beside))

    @put(
        "/",
        operation_id="describeCart",
        summary="Note, attributes and currency of a cart",
        opt={
            CART: True,
            EXAMPLE: {
                "cart_uuid": SOME_CART,
                "note": "Please ring twice.",
                "attributes": [{"name": "gift wrap", "value": "yes"}],
            },
        },
    )
    @transactional
    async def describe(
        self,
        request: ShopRequest,
        data: RequestBody[DescribeCart],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StorefrontCart]:
        """Writes what a cart says beside its lines; the answer is the cart, at prices of its currency.

        What was added keeps the memory of its price: another currency alone is no `price_changed`.
        """
        words = CartWords(
            note=data.note,
            attributes=msgspec.UNSET
            if data.attributes is msgspec.UNSET
            else [{"name": one.name, "value": one.value} for one in data.attributes],
            currency=data.currency,
        )
        cart_id = await write_words(
            session,
            store,
            words,
            uuid=which_cart(request, actor, data.cart_uuid),
            customer_id=actor.visitor(),
            now=now,
            keep_seconds=shop.settings.cart_seconds,
        )
        cart = await load_cart(session, store, cart_id, shown=True)
        offers = await list_cart_offers(session, store, cart, customer_id=actor.customer_id, now=now)
        return Answer(show_cart(cart, quote_cart(store, cart, offers)), headers=NO_STORE)

    @post(
        "/merge",
        status_code=200,
        operation_id="mergeCart",
        dependencies=LOGIN_NEEDED,
        summary="Join a guest's cart with the customer's",
        opt={EXAMPLE: {"cart_uuid": SOME_CART, "merge": True}},
    )
    @transactional
    async def merge(
        self,
        request: ShopRequest,
        data: RequestBody[MergeCart],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[MergedCart]:
        """Adds the guest's cart to the customer's, or lets it take its place; repeating it changes nothing.

        Quantities add up as far as stock and the limits of line and cart allow; `capped` says where they did
        not. A customer without a cart gets the guest's as it is. Needs a login.
        """
        customer_id = actor.customer()
        uuid = read_uuid(data.cart_uuid or find_cart_cookie(request))
        if uuid is None and data.cart_uuid:
            raise cart_not_found()
        taken = None
        if uuid is not None:
            taken = await take_cart(
                session,
                store.id,
                customer_id=customer_id,
                uuid=uuid,
                replace=data.merge in (False, "0"),
                now=now,
                keep_seconds=shop.settings.cart_seconds,
            )
            if not taken.found and data.cart_uuid:
                raise cart_not_found()
        return Answer(await _merged(session, store, taken, customer_id, now=now), headers=NO_STORE)

    @delete(
        "/items",
        status_code=204,
        operation_id="removeCartItem",
        summary="Remove from the cart",
        opt={QUERY: RemoveFromCart},
    )
    @transactional
    async def remove(
        self,
        request: ShopRequest,
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
    ) -> None:
        """Takes a variant out of the cart (`product_id`, `cart_uuid` in the query or body); twice is fine."""
        sent = await read_query_or_body(request, RemoveFromCart)
        uuid = read_uuid(sent.cart_uuid)
        if uuid is None:
            raise cart_not_found()
        await remove_item(
            session,
            store,
            uuid=uuid,
            customer_id=actor.visitor(),
            variant_id=sent.product_id,
            now=now,
            keep_seconds=shop.settings.cart_seconds,
        )


async def _find_unnamed(
    request: ShopRequest, reads: Reads, store: StoreConfig, actor: Actor, *, now: datetime
) -> CartView | None:
    """The cart of a call that names none: the customer's, or the one of a guest's cookie."""
    customer_id = actor.known().visitor()
    if customer_id is not None:
        return await find_cart(reads, store, customer_id=customer_id, now=now)
    uuid = read_uuid(find_cart_cookie(request))
    return None if uuid is None else await find_cart(reads, store, uuid=uuid, now=now)


async def _merged(
    session: AsyncSession, store: StoreConfig, taken: Taken | None, customer_id: int, *, now: datetime
) -> MergedCart:
    """The customer's cart after a merge; an empty one where they have none."""
    cart_id = taken.cart_id if taken else await find_cart_id(session, store.id, customer_id=customer_id)
    if cart_id is None:
        shown = empty_cart(store.currency)
    else:
        cart = await load_cart(session, store, cart_id, shown=True)
        offers = await list_cart_offers(session, store, cart, customer_id=customer_id, now=now)
        shown = show_cart(cart, quote_cart(store, cart, offers))
    return MergedCart(
        **msgspec.structs.asdict(shown),
        capped=list(taken.capped) if taken else [],
        waits=taken.waits if taken else False,
    )


async def _find_line(
    reads: Reads,
    store: StoreConfig,
    actor: Actor,
    uuid: UUID,
    variant_id: int,
    wanted: frozenset[str],
    *,
    now: datetime,
) -> StorefrontCartLine:
    """The line that an earlier call made, as it stands now. Raises NotFound where it was taken out since."""
    cart = await get_cart(reads, store, uuid=uuid, customer_id=actor.visitor(), now=now)
    for entry in cart.items:
        if entry.variant_id == variant_id:
            quote = await read_cart_quote(reads, store, cart, customer_id=actor.customer_id, now=now)
            beside = await _read_beside(reads, store, [entry], wanted)
            return show_line(entry, str(uuid), line_in(quote, variant_id), beside)
    raise NotFound(NOT_FOUND, "The line was taken out of the cart since.")


async def _read_beside(
    reads: Reads, store: StoreConfig, entries: Sequence[CartItem], wanted: frozenset[str]
) -> Beside:
    """What goes with the things of a cart, where that is asked for, at what it costs in the cart's currency."""
    items = [entry.item for entry in entries if entry.item is not None]
    if not wanted or not items:
        return NOTHING_BESIDE
    exchange = store.exchange_to(items[0].currency or store.currency)
    found = await read_beside(reads, store.id, sorted({item.product_id for item in items}))
    return {product: [one.sold_in(exchange) for one in near] for product, near in found.items()}
