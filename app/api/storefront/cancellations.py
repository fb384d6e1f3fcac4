"""An order on its way or on its way back, as its buyer sees it (contract rows B45 to B47)."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import HeaderParameter, RequestBody

from app.api.caching import NO_STORE
from app.api.dependencies import (
    GivenActor,
    GivenNow,
    GivenReads,
    GivenSession,
    GivenShop,
    GivenStore,
)
from app.api.idempotency import REPLAYED, caller_of, read_key
from app.api.limits import Id, PathId, Word
from app.api.openapi import EXAMPLE, KEYED
from app.api.request import ShopRequest
from app.api.storefront.orders import StorefrontOrder, show_order
from app.api.storefront.parcels import StorefrontTracking, show_parcel
from app.api.transactions import transactional
from app.db import idempotency
from app.domain.checkout.cancelling import ask_to_cancel, withdraw_wish
from app.domain.orders.queries import check_buyer, get_order, load_order
from app.kit.actor import Actor

CheckoutToken = Annotated[str | None, HeaderParameter(name="X-Checkout-Token", max_length=200)]


class AskToCancel(msgspec.Struct, forbid_unknown_fields=True):
    """`reason` is one of `order_cancellation_reasons` in GET /options."""

    reason: Word
    note: Annotated[str, msgspec.Meta(max_length=2000)]
    id: Id | None = None


def buyer_of(actor: Actor, checkout_token: str | None) -> dict[str, Any]:
    """Who asks for an order: whoever has its checkout's token needs no login, nor one that is still in force."""
    customer_id = actor.known().visitor() if checkout_token is None else actor.customer_id
    return {"customer_id": customer_id, "checkout_token": checkout_token}


class CancellationController(Controller):
    """An order answers to its buyer only; anybody else's is a 404."""

    path = "/orders"
    tags = ("Orders",)

    @post(
        "/{order_id:int}/cancellation",
        status_code=200,
        operation_id="cancelOrder",
        summary="Ask to cancel an order",
        opt={EXAMPLE: {"reason": "I changed my mind", "note": "Ordered twice"}, KEYED: True},
    )
    @transactional
    async def ask(
        self,
        order_id: PathId,
        request: ShopRequest,
        data: RequestBody[AskToCancel],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
        checkout_token: CheckoutToken = None,
    ) -> Response[StorefrontOrder]:
        """Asks the shop to cancel the order, while nothing of it is shipped; some shops do it at once, with the
        money and the stock back. The answer is the order. Takes Idempotency-Key.
        """
        await check_buyer(session, store.id, order_id, **buyer_of(actor, checkout_token))
        key = await read_key(request, caller=caller_of(actor, checkout_token))
        seconds = shop.settings.idempotency_seconds
        made = await idempotency.claim(session, store.id, key, now=now, keep_seconds=seconds)
        if made is None:
            await ask_to_cancel(session, store, order_id, reason=data.reason, note=data.note, now=now)
            await idempotency.keep(session, store.id, key, {"order_id": order_id})
        shown = show_order(await load_order(session, store.id, order_id), to_buyer=True)
        return Response(shown, headers=NO_STORE | (REPLAYED if made is not None else {}))

    @delete(
        "/{order_id:int}/cancellation",
        status_code=204,
        operation_id="keepOrder",
        summary="Take the wish to cancel back",
    )
    @transactional
    async def withdraw(
        self,
        order_id: PathId,
        session: GivenSession,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
        checkout_token: CheckoutToken = None,
    ) -> None:
        """Takes back a wish that nobody has decided on yet; twice is fine, and so it is where there was none."""
        await check_buyer(session, store.id, order_id, **buyer_of(actor, checkout_token))
        await withdraw_wish(session, store.id, order_id, now=now)

    @get("/{order_id:int}/tracking", operation_id="trackOrder", summary="Where the parcels are")
    async def track(
        self,
        order_id: PathId,
        reads: GivenReads,
        store: GivenStore,
        actor: GivenActor,
        checkout_token: CheckoutToken = None,
    ) -> Response[StorefrontTracking]:
        """The parcels of an order with their carriers and what has happened to them."""
        order = await get_order(reads, store.id, order_id, **buyer_of(actor, checkout_token))
        return Response(StorefrontTracking([show_parcel(one) for one in order.parcels]), headers=NO_STORE)
