"""Paying for a checkout: at once, or at a service that the shopper returns from (contract rows B34 to B36)."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, RequestBody
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.answers import Answer
from app.api.dependencies import GivenActor, GivenNow, GivenShop, GivenStore, Shop
from app.api.faults import invalid_field
from app.api.idempotency import REPLAYED, read_key
from app.api.limits import Amount, CurrencyCode, Id, Line, Token, Word, bounded
from app.api.openapi import ANSWERS, EXAMPLE, KEYED, LOCATED
from app.api.rate_limits import LIMIT
from app.api.request import ShopRequest, refuse_repeated_names
from app.api.storefront.checkouts import StorefrontCheckout, show_checkout
from app.db import idempotency
from app.db.idempotency import Key
from app.db.retries import run_transaction
from app.domain.checkout.completing import AT_ONCE
from app.domain.checkout.parts import FREE
from app.domain.checkout.placing import Placed, Started, reserve
from app.domain.checkout.queries import get_checkout, view_checkout
from app.domain.checkout.recalling import made_by, may_be_repeat, recall
from app.domain.checkout.till import Pending
from app.domain.giftcards.split import KINDS
from app.domain.payments.errors import CANNOT_SAVE, SECOND_STEP, SERVICE_NOT_FOUND, method_not_found
from app.domain.payments.saved import Payer, find_method
from app.domain.payments.service import get_payment, new_mark
from app.domain.payments.services import KeepsMethods
from app.domain.stores.queries import StoreConfig
from app.kit.actor import Actor
from app.kit.errors import Declined, Invalid, NotFound
from app.kit.ids import digest


class Pay(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` is what the page showed as `due`, in minor units; `payment_type` a service's name.

    `currency` is the one that the page showed it in: where it is sent, another one is as good as another amount.

    Where a gift card and store credit pay the whole total, `due` is 0 and `payment_type` is `gift_card` or
    `store_credit`, whichever pays.

    A customer can have what they pay with saved (`save_payment_method`: it is theirs to say so), and pay with what
    was saved before: `payment_method_id` then stands in the place of `payment_token`.
    """

    payment_type: Word
    amount: Amount
    currency: CurrencyCode | None = None
    payment_token: Annotated[str, msgspec.Meta(max_length=500)] = ""
    payment_method_id: Id | None = None
    save_payment_method: bool = False
    identity: Line | None = None
    order_additional_fields: dict[str, Any] | list[Any] | None = None
    checkout_token: Token | None = None


class ConfirmPayment(msgspec.Struct, forbid_unknown_fields=True):
    additional: dict[str, Any] | list[Any] | None = None
    checkout_token: Token | None = None
    service: Word | None = None


class StartPayment(ConfirmPayment, forbid_unknown_fields=True):
    """`amount` and `currency` are what the page showed as `due`: another total is then said, with nothing started.

    `save_payment_method`: a customer wants to pay with it again.
    """

    amount: Amount | None = None
    currency: CurrencyCode | None = None
    save_payment_method: bool = False


class StartedPayment(msgspec.Struct):
    """What the page needs to go on; `next_step_url` where the shopper has a step to do."""

    service: str
    payment_id: int
    status: str
    amount: int
    currency: str
    next_step_url: str | None = None
    client_secret: str | None = None
    approval_url: str | None = None


class StillPaying(msgspec.Struct):
    state: str
    retry_after: int


def check_offered(store: StoreConfig, shop: Shop, service: str) -> None:
    """Raise NotFound for a service that the store does not offer. Gift cards and credit are none, and neither is
    what takes nothing.
    """
    if service in (FREE, *KINDS):
        return
    offered = {choice.name for choice in store.payment_services}
    if service not in offered or service not in (*AT_ONCE, *shop.till.services):
        raise NotFound(SERVICE_NOT_FOUND, "This store does not take payments by this service.")


def _saver(shop: Shop, actor: Actor, service: str) -> Payer:
    """The customer who wants a means of payment saved. Raises Invalid where the service keeps none."""
    customer_id = actor.customer()
    if not isinstance(shop.till.services.get(service), KeepsMethods):
        raise Invalid.at("save_payment_method", CANNOT_SAVE, "This service keeps no means of payment.")
    return Payer(customer_id, saves=True)


class _Means(msgspec.Struct, frozen=True):
    """What is paid with: a service's token, or by our number what its payer had saved."""

    token: str
    payer: Payer | None
    method_id: int | None = None


def _read_means(shop: Shop, actor: Actor, data: Pay) -> _Means:
    """What is paid with, and whose it is where that is saved or to be saved."""
    if data.payment_method_id is None:
        if data.payment_type not in (*AT_ONCE, *KINDS) and not data.payment_token:
            raise invalid_field("payment_token", "required", "This service needs a payment token.")
        payer = _saver(shop, actor, data.payment_type) if data.save_payment_method else None
        return _Means(data.payment_token, payer)
    if data.payment_token or data.save_payment_method:
        raise invalid_field("payment_method_id", "one_means", "What is saved is paid with by itself.")
    return _Means("", Payer(actor.customer(), saves=False), data.payment_method_id)


async def _look_up(
    session: AsyncSession, store_id: int, means: _Means, *, token: str, service: str
) -> str | None:
    """What to charge; None where the payer keeps it no more, for the checkout `token` of theirs.

    Raises NotFound payment_method_not_found where that is not theirs either.
    """
    if means.method_id is None or means.payer is None:
        return means.token
    customer_id = means.payer.customer_id
    found = await find_method(session, store_id, customer_id, means.method_id, service=service)
    if found is None and not await may_be_repeat(session, store_id, token=token, customer_id=customer_id):
        raise method_not_found()
    return None if found is None else found.reference


async def _reserve(
    shop: Shop,
    store: StoreConfig,
    key: Key | None,
    *,
    service: str,
    means: _Means,
    token: str,
    until: float,
    now: datetime,
    **wanted: Any,
) -> tuple[Placed | Started, str, bool]:
    """Reserve in a transaction of its own, once per Idempotency-Key; with the token to charge and whether it was
    done before.

    Right to run again after a COMMIT whose answer was lost: a checkout has one order, and the mark of this
    call tells its own attempt from another caller's. What is saved has to be there for a new attempt only: a repeat
    finds what was made, whatever was removed since.
    """
    settings = shop.settings
    mark = new_mark()
    to_charge = ""
    known = shop.till.services.get(service)

    async def work(session: AsyncSession) -> tuple[Placed | Started, str, bool]:
        nonlocal to_charge
        made = await idempotency.claim(
            session, store.id, key, now=now, keep_seconds=settings.idempotency_seconds
        )
        if made and (before := await recall(session, store.id, made, mark=mark)) is not None:
            return before, to_charge, not (isinstance(before, Started) and before.mine)
        found = await _look_up(session, store.id, means, token=token, service=service)
        to_charge = found or to_charge
        result = await reserve(
            session,
            store,
            token=token,
            service=service,
            payment_token=found,
            payer=means.payer,
            takes=None if known is None else known.takes,
            mark=mark,
            hold_seconds=settings.reservation_seconds,
            now=now,
            **wanted,
        )
        if not (isinstance(result, Started) and result.abandoned):
            await idempotency.keep(session, store.id, key, made_by(result))
        return result, to_charge, False

    async with shop.till.turn(until):
        return await run_transaction(shop.sessions, work, repeatable=True)


async def _take_up(
    shop: Shop, store: StoreConfig, key: Key | None, **wanted: Any
) -> tuple[Placed | Started, str, bool]:
    """Reserve as _reserve does, having given up what the shopper left for another card or service."""
    result, to_charge, replayed = await _reserve(shop, store, key, **wanted)
    if isinstance(result, Started) and result.abandoned:
        await shop.till.give_up(store, result)
        result, to_charge, replayed = await _reserve(shop, store, key, **wanted)
    return result, to_charge, replayed


def _headers(*, replayed: bool, **more: str) -> dict[str, str]:
    return {**more, **(REPLAYED if replayed else {})}


class PaymentController(Controller):
    """Reserve, call, settle: see app/domain/checkout/placing.py."""

    path = "/checkout"
    tags = ("Checkout",)

    @post(
        "/{checkout_token:str}/payment",
        status_code=202,
        operation_id="payCheckout",
        response_description="Nobody knows yet how it went: read the checkout again after `retry_after` seconds.",
        opt={
            LIMIT: "payment",
            EXAMPLE: {"payment_type": "test", "payment_token": "ok", "amount": 1800},
            KEYED: True,
            ANSWERS: (402, 409),
            LOCATED: True,
        },
        responses={204: ResponseSpec(None, description="The order is made; Location names it.")},
        summary="Pay and place the order",
        before_request=refuse_repeated_names,
    )
    async def pay(
        self,
        request: ShopRequest,
        checkout_token: FromPath[str],
        data: RequestBody[Pay],
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StillPaying | None]:
        """204 with Location once the order is made, also for every later or parallel caller.

        202 while the outcome is not known, 402 where the payment was declined or needs a second step,
        409 where what is due or the stock has changed. Store credit is spent for its own customer alone, who has
        to be logged in. Takes Idempotency-Key.
        """
        service = data.payment_type
        check_offered(store, shop, service)
        means = _read_means(shop, actor, data)
        extra = bounded(data.order_additional_fields, "order_additional_fields")
        key = await read_key(request, caller=digest(checkout_token).hex())
        until = shop.till.deadline()
        result, to_charge, replayed = await _take_up(
            shop,
            store,
            key,
            token=checkout_token,
            service=service,
            means=means,
            amount=data.amount,
            currency=data.currency,
            additional_fields=extra,
            spender=actor.customer,
            until=until,
            now=now,
        )
        if isinstance(result, Started):
            outcome = await shop.till.finish(store, result, payment_token=to_charge, until=until)
        else:
            outcome = result
        if isinstance(outcome, Pending):
            return Answer(
                StillPaying("paying", outcome.retry_after),
                status_code=202,
                headers=_headers(replayed=replayed, **{"Retry-After": str(outcome.retry_after)}),
            )
        return Answer(
            None,
            status_code=204,
            headers=_headers(replayed=replayed, Location=f"/storefront/v1/orders/{outcome.order_id}"),
        )

    @post(
        "/{checkout_token:str}/payment/{service:str}",
        status_code=200,
        operation_id="startPayment",
        opt={LIMIT: "payment", EXAMPLE: {}, KEYED: True, ANSWERS: (402, 409), LOCATED: True},
        responses={204: ResponseSpec(None, description="The order is made already; Location names it.")},
        summary="Start a payment at a service",
        before_request=refuse_repeated_names,
    )
    async def start(
        self,
        request: ShopRequest,
        checkout_token: FromPath[str],
        service: FromPath[str],
        data: RequestBody[StartPayment],
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[StartedPayment]:
        """Freezes the checkout and opens a payment at the service that the shopper then completes there.

        Where `amount` is not what is due (any more), 409 `total_changed` has the new totals and their reasons.

        Takes Idempotency-Key.
        """
        shop.till.get_service(service)
        check_offered(store, shop, service)
        key = await read_key(request, caller=digest(checkout_token).hex())
        until = shop.till.deadline()
        result, _, replayed = await _take_up(
            shop,
            store,
            key,
            token=checkout_token,
            service=service,
            means=_Means("", _saver(shop, actor, service) if data.save_payment_method else None),
            amount=data.amount,
            currency=data.currency,
            additional_fields=None,
            spender=actor.customer,
            until=until,
            now=now,
        )
        if isinstance(result, Placed):
            return Answer(
                None,  # type: ignore[arg-type]  # the order is made: nothing is left to start
                status_code=204,
                headers=_headers(replayed=replayed, Location=f"/storefront/v1/orders/{result.order_id}"),
            )
        try:
            await shop.till.finish(store, result, payment_token="", until=until)
        except Declined as needed:
            if needed.code != SECOND_STEP:
                raise
        async with shop.sessions() as session:
            payment = await get_payment(session, store.id, result.payment_id)
        action = payment.action or {}
        return Answer(
            StartedPayment(
                service=payment.service,
                payment_id=payment.id,
                status=payment.state,
                amount=payment.amount,
                currency=payment.currency,
                next_step_url=action.get("next_step_url"),
                client_secret=action.get("client_secret"),
                approval_url=action.get("approval_url"),
            ),
            headers=_headers(replayed=replayed),
        )

    @post(
        "/{checkout_token:str}/payment/{service:str}/confirm",
        status_code=200,
        operation_id="confirmPayment",
        opt={LIMIT: "payment", EXAMPLE: {}, ANSWERS: (402, 409)},
        summary="Finish a payment after the shopper's return",
        before_request=refuse_repeated_names,
    )
    async def confirm(
        self,
        checkout_token: FromPath[str],
        service: FromPath[str],
        data: RequestBody[ConfirmPayment],  # noqa: ARG002 - read so that unknown fields are refused
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
    ) -> StorefrontCheckout:
        """Asks the service and settles; the service's webhook may have done so before. Answers the checkout."""
        shop.till.get_service(service)
        async with shop.sessions() as session:
            checkout = await get_checkout(session, store.id, checkout_token)
        await shop.till.confirm(store, order_id=checkout.order_id, service=service)
        async with shop.sessions() as session:
            checkout = await get_checkout(session, store.id, checkout_token)
            return show_checkout(await view_checkout(session, store, checkout, now=now), store, shop)
