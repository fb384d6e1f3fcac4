"""How an order is placed: reserve, call, settle.

Reserve is one short transaction under the checkout's lock: it freezes lines and quote, holds the stock,
writes the pending order and the attempt to pay. The payment service is then called without any
transaction. Settle is idempotent: the browser's call, a webhook and the reconciler all end here, and
whoever comes first wins. Locks are taken parents first: checkout, order, payment, gift card, store credit,
promotion, coupon, stock.

What a gift card and store credit pay is held in Reserve and becomes payments of their own in Settle; the service
is charged what is left, and where nothing is, the order is placed in Reserve already. Where that is all there is to
write, the checkout is only looked at, and the statement that places the order locks it (see `completing`).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.db.statements import lock_looked_at, write_changed
from app.domain.carts.queries import CartView
from app.domain.checkout.authorizing import note_authorized, settle_authorized
from app.domain.checkout.completing import AT_ONCE, complete, complete_at_once, is_alone
from app.domain.checkout.errors import CHECKOUT_INCOMPLETE, TOTAL_CHANGED
from app.domain.checkout.freezing import demand_of, new_order
from app.domain.checkout.locking import take_to_buy
from app.domain.checkout.models import Checkout
from app.domain.checkout.parts import check_spender, check_way, hold_checkout_parts, take_parts
from app.domain.checkout.queries import (
    Priced,
    list_checkout_balances,
    list_checkout_offers,
    lock_checkout_by_id,
    price,
    price_checkout,
    source_of,
)
from app.domain.checkout.seen import quote_facts, saying
from app.domain.checkout.service import (
    check_basket,
    check_editable,
    check_stock,
    move_checkout,
    what_is_missing,
)
from app.domain.checkout.states import CheckoutState
from app.domain.giftcards.holds import release_parts
from app.domain.giftcards.split import KINDS, Split
from app.domain.inventory.service import release_stock, reserve_stock, sell_reserved
from app.domain.ledger.service import payments_account, post_entries
from app.domain.orders.models import Order
from app.domain.orders.service import lock_order, note_event
from app.domain.orders.writing import Paid, write_pending_order
from app.domain.payments.authorizations import void_later
from app.domain.payments.errors import method_not_found
from app.domain.payments.models import Payment
from app.domain.payments.saved import Payer, save_later
from app.domain.payments.service import (
    find_live_payment,
    is_marked,
    lock_payment,
    move_payment,
    new_mark,
    new_payment,
    start_payment,
)
from app.domain.payments.services import (
    ActionNeeded,
    Authorized,
    Captured,
    Finding,
    Refused,
    Unheard,
    Unknown,
)
from app.domain.payments.states import UNFINISHED, PaymentState
from app.domain.promotions.errors import coupon_refused
from app.domain.promotions.pricing import without
from app.domain.promotions.quotes import Quote
from app.domain.promotions.uses import give_back_uses, hold_uses
from app.domain.stores.queries import StoreConfig
from app.kit.errors import Conflict, Invalid
from app.kit.ids import digest

NOT_CHARGED: Final = "not charged"


class Placed(msgspec.Struct, frozen=True):
    """The order of the checkout is made."""

    order_id: int


class Started(msgspec.Struct, frozen=True):
    """An attempt to pay is on its way: this caller's own (mine), or one that was started before.

    abandoned: that one waits for a step of the shopper, who now comes with another card, service or wish to save.
    """

    payment_id: int
    order_id: int
    mine: bool
    abandoned: bool = False


def totals_of(quote: Quote, split: Split) -> dict[str, int]:
    """The totals as every surface names them; `due` is what is left for a service. Minor units."""
    return {
        "items": quote.items,
        "discount": quote.discount,
        "shipping": quote.shipping,
        "tax": quote.tax,
        "total": quote.total,
        "gift_card": split.gift_card,
        "store_credit": split.store_credit,
        "due": quote.total - split.covered,
    }


async def reserve(
    session: AsyncSession,
    store: StoreConfig,
    *,
    token: str,
    service: str,
    payment_token: str | None,
    amount: int | None,
    currency: str | None = None,
    additional_fields: Any,
    hold_seconds: int,
    now: datetime,
    spender: Callable[[], int],
    mark: str = "",
    payer: Payer | None = None,
    takes: Callable[[int, str], bool] | None = None,
) -> Placed | Started:
    """The first phase, to be committed before any service is called.

    `manual` and `free_payment` are placed at once, and so is what a gift card and store credit pay wholly
    (`gift_card`, `store_credit`). A repeated or parallel call answers what the first one made; `mark` names the
    call, so that one whose COMMIT was not answered knows its own attempt. `payment_token` is None where what was
    saved is not there (any more), which matters to a new attempt only; `takes` says what the service takes;
    `spender` is asked who calls, and may refuse by raising, where store credit would be spent.
    Raises NotFound payment_method_not_found, and checkout_not_found for credit that is not the caller's; Conflict
    total_changed where `amount` (minor units; None trusts the caller to have read it from us) is not what is due,
    or what is due is not in `currency` (None: any); Conflict out_of_stock; and Invalid where something is missing,
    the coupon does not count (coupon_*) or the service does not take what is due.
    """
    checkout, cart, order_id = await take_to_buy(session, store, token, at_once=service in AT_ONCE)
    earlier = await _find_earlier(session, store, checkout, service, payment_token, payer, mark=mark)
    if earlier is not None:
        return earlier
    if payment_token is None:
        raise method_not_found()
    check_editable(checkout, now=now)
    check_basket(cart)
    priced = await price_checkout(session, store, checkout, cart, now=now)
    faults = what_is_missing(store, checkout, priced)
    if faults:
        raise Invalid(CHECKOUT_INCOMPLETE, "Something is still missing.", errors=faults)
    check_spender(checkout, priced, spender)
    quote = priced.quote
    with saying(checkout, quote):
        check_stock(cart)
    if quote.coupon is not None and quote.coupon.refusal is not None:
        raise coupon_refused("coupon", quote.coupon.refusal)
    if amount not in (None, priced.due) or currency not in (None, quote.currency):
        raise total_changed(checkout, priced, currency=currency)
    check_way(service, priced, takes)
    new, demand = new_order(checkout, cart, quote, additional_fields), demand_of(quote)
    at_once = service in AT_ONCE or service in KINDS
    if not at_once:
        await write_pending_order(session, store.id, new, order_id=order_id, now=now)
    elif not is_alone(checkout, new):
        await _lock(session, store, checkout)
    if not await hold_checkout_parts(session, checkout, priced, now=now):
        raise total_changed(checkout, await price_checkout(session, store, checkout, cart, now=now))
    await _hold_uses(session, store, checkout, cart, quote, now=now)
    checkout.currency = quote.currency
    if at_once:
        with saying(checkout, quote):
            await complete_at_once(
                session,
                store,
                checkout,
                new,
                priced,
                order_id=order_id,
                service=service,
                demand=demand,
                now=now,
            )
        return Placed(order_id)
    checkout.order_id = order_id
    held_until = now + timedelta(seconds=hold_seconds)
    with saying(checkout, quote):
        await reserve_stock(session, store.id, checkout_id=checkout.id, demand=demand, expires_at=held_until)
    payment = new_payment(
        store.id,
        order_id=order_id,
        checkout_id=checkout.id,
        service=service,
        token=payment_token,
        amount=priced.due,
        currency=quote.currency,
        now=now,
        payer=payer,
    )
    await start_payment(session, payment, mark=mark or new_mark())
    checkout.frozen = msgspec.to_builtins(priced)
    checkout.held_until = held_until
    move_checkout(checkout, CheckoutState.PRICED, now=now)
    move_checkout(checkout, CheckoutState.PAYING, now=now)
    await write_changed(session, checkout)
    return Started(payment.id, order_id, mine=True)


async def _lock(session: AsyncSession, store: StoreConfig, checkout: Checkout) -> None:
    """Lock a checkout and its order, before what comes after them in the order of locks."""
    await lock_looked_at(session, checkout)
    if checkout.order_id is not None:
        await lock_order(session, store.id, checkout.order_id)


async def _find_earlier(
    session: AsyncSession,
    store: StoreConfig,
    checkout: Checkout,
    service: str,
    payment_token: str | None,
    payer: Payer | None,
    *,
    mark: str,
) -> Placed | Started | None:
    """What an earlier call, or one beside this, made of a checkout; None where it is still to be paid."""
    if checkout.state == CheckoutState.COMPLETED and checkout.order_id is not None:
        return Placed(checkout.order_id)
    if checkout.state == CheckoutState.PAYING and checkout.order_id is not None:
        await lock_looked_at(session, checkout)
        live = await find_live_payment(session, store.id, checkout.order_id)
        if live is not None:
            abandoned = live.state == PaymentState.ACTION_NEEDED and not _is_same(
                live, service, payment_token, payer
            )
            return Started(live.id, checkout.order_id, mine=is_marked(live, mark), abandoned=abandoned)
    return None


def _is_same(live: Payment, service: str, token: str | None, payer: Payer | None) -> bool:
    """Whether an attempt charges what this call names, and saves it for whom it says, or for nobody.

    What is not there any more names no other one.
    """
    if token is None:
        return True
    wish = (None, False) if payer is None else (payer.customer_id, payer.saves)
    return (live.service, live.means, live.payer_id, live.saves) == (service, digest(token), *wish)


async def _hold_uses(
    session: AsyncSession,
    store: StoreConfig,
    checkout: Checkout,
    cart: CartView,
    quote: Quote,
    *,
    now: datetime,
) -> None:
    """Take the uses that the quote counts on. Raises Invalid coupon_*, and Conflict total_changed where a
    promotion that came by itself has just run out.
    """
    lost = await hold_uses(
        session,
        store.id,
        checkout_id=checkout.id,
        applied=quote.applied,
        customer_id=checkout.customer_id,
        email=checkout.email,
        now=now,
    )
    if lost is None:
        return
    if lost.code is not None:
        raise coupon_refused("coupon", lost.why)
    offers = await list_checkout_offers(session, store, checkout, cart, now=now)
    # Whatever is held by now goes back with this transaction.
    await release_parts(session, store.id, checkout_id=checkout.id)
    balances = await list_checkout_balances(session, store, checkout, cart, now=now)
    kept = without(offers, frozenset({lost.promotion_id}))
    raise total_changed(checkout, price(store, checkout, cart, kept, balances, now=now))


def total_changed(checkout: Checkout, priced: Priced, *, currency: str | None = None) -> Conflict:
    """The refusal that has the new quote, for the page to show before it asks again; `currency` is what it named."""
    due_in = priced.quote.currency
    other = currency not in (None, due_in)
    return Conflict(
        TOTAL_CHANGED,
        f"The checkout is in {due_in} by now, not in {currency}."
        if other
        else "The total is another one by now.",
        totals=totals_of(priced.quote, priced.split),
        **quote_facts(checkout, priced.quote),
    )


async def settle(
    session: AsyncSession, store: StoreConfig, *, payment: Payment, finding: Finding, now: datetime
) -> PaymentState:
    """The last phase: write down what the service says became of an attempt, and what follows from it.

    `payment` names the attempt; it is read again under its lock. Idempotent, in any order of callers.
    A capture of another sum or currency, or of an attempt that was given up, never pays this order: it is
    recorded as late and sent back. What is said of another payment than the attempt's is only noted.
    """
    checkout = await lock_checkout_by_id(session, store.id, payment.checkout_id)
    order = await lock_order(session, store.id, payment.order_id)
    payment = await lock_payment(session, store.id, payment.id)
    if not isinstance(finding, Unheard) and payment.reference not in (
        None,
        finding.reference or payment.reference,
    ):
        told = f"{payment.service} speaks of {finding.reference} for {payment.key}"
        await note_event(session, order, "payment_mismatch", told, now=now)
        return PaymentState(payment.state)
    if payment.state == PaymentState.AUTHORIZED and await settle_authorized(
        session, order, payment, finding, now=now
    ):
        await session.flush()
        return PaymentState(payment.state)
    match finding:
        case Authorized():
            await _settle_held(session, store, checkout, order, payment, finding, now=now)
        case Captured():
            await _settle_captured(session, store, checkout, order, payment, finding, now=now)
        case Refused():
            await _give_back(
                session, checkout, order, payment, PaymentState.DECLINED, reason=finding.reason, now=now
            )
        case Unheard():
            await _give_back(
                session, checkout, order, payment, PaymentState.CANCELLED, reason=NOT_CHARGED, now=now
            )
        case ActionNeeded():
            move_payment(
                payment,
                PaymentState.ACTION_NEEDED,
                reference=finding.reference,
                action=finding.action,
                now=now,
            )
        case Unknown():
            move_payment(
                payment, PaymentState.UNKNOWN, reference=finding.reference, reason=finding.reason, now=now
            )
    if payment.saves and payment.state in (PaymentState.CAPTURED, PaymentState.AUTHORIZED):
        await save_later(session, payment, now=now)
    await write_changed(session, checkout, order, payment)
    await session.flush()
    return PaymentState(payment.state)


async def _settle_captured(
    session: AsyncSession,
    store: StoreConfig,
    checkout: Checkout,
    order: Order,
    payment: Payment,
    finding: Captured,
    *,
    now: datetime,
) -> None:
    asked_for = (payment.amount, payment.currency) == (finding.amount, finding.currency)
    wanted = payment.state in UNFINISHED and order.status == "pending"
    if asked_for and wanted and checkout.state == CheckoutState.PAYING:
        move_payment(payment, PaymentState.CAPTURED, reference=finding.reference, now=now)
        paid = [Paid(payment.service, payments_account(payment.service, payment.source_id), payment.captured)]
        paid += await take_parts(session, checkout, order, now=now)
        await sell_reserved(session, store.id, checkout_id=checkout.id, order_id=order.id, now=now)
        await complete(session, store, checkout, order, paid=paid, now=now)
        return
    moved = move_payment(
        payment,
        PaymentState.LATE,
        reference=finding.reference,
        reason="not_asked_for" if asked_for else "another_sum",
        captured=finding.amount,
        currency=finding.currency,
        now=now,
    )
    if moved:
        await _owe_back(session, order, payment, now=now)
        if wanted:
            await _reopen(session, checkout, now=now)


async def _settle_held(
    session: AsyncSession,
    store: StoreConfig,
    checkout: Checkout,
    order: Order,
    payment: Payment,
    finding: Authorized,
    *,
    now: datetime,
) -> None:
    """Place the order whose money is held; what is held for nobody any more is let go."""
    asked_for = (payment.amount, payment.currency) == (finding.amount, finding.currency)
    wanted = payment.state in UNFINISHED and order.status == "pending"
    if asked_for and wanted and checkout.state == CheckoutState.PAYING:
        move_payment(payment, PaymentState.AUTHORIZED, reference=finding.reference, now=now)
        paid = await take_parts(session, checkout, order, now=now)
        await sell_reserved(session, store.id, checkout_id=checkout.id, order_id=order.id, now=now)
        await complete(session, store, checkout, order, paid=paid, now=now)
        await note_authorized(session, order, payment, now=now)
    elif payment.state != PaymentState.CAPTURED:
        payment.reference = finding.reference
        await void_later(session, payment, now=now)
        if wanted:
            await _give_back(
                session, checkout, order, payment, PaymentState.DECLINED, reason="another_sum", now=now
            )


async def _owe_back(session: AsyncSession, order: Order, payment: Payment, *, now: datetime) -> None:
    """Money that nobody asked for any more is booked as owed to the shopper, and sent back."""
    await post_entries(
        session,
        order.store_id,
        key=f"payment-{payment.id}-late",
        currency=payment.currency,
        amounts={
            payments_account(payment.service, payment.source_id): payment.captured,
            "owed_to_shoppers": -payment.captured,
        },
        order_id=order.id,
        now=now,
    )
    await note_event(session, order, "late_capture", f"{payment.service}: to be refunded", now=now)
    await queue.enqueue(
        session,
        store_id=order.store_id,
        kind="payments.refund",
        dedupe_key=f"payment-{payment.id}",
        payload={"payment_id": payment.id},
        run_at=now,
    )


async def _give_back(
    session: AsyncSession,
    checkout: Checkout,
    order: Order,
    payment: Payment,
    new: PaymentState,
    *,
    reason: str,
    now: datetime,
) -> None:
    """End an attempt without money: stock, uses of coupons and what was held of a gift card and credit go back, the
    checkout is a view of its cart again.
    """
    if not move_payment(payment, new, reason=reason, now=now):
        return
    await note_event(session, order, f"payment_{new}", reason, now=now)
    await _reopen(session, checkout, now=now)


async def _reopen(session: AsyncSession, checkout: Checkout, *, now: datetime) -> None:
    if checkout.state == CheckoutState.PAYING:
        if source_of(checkout):
            await release_parts(session, checkout.store_id, checkout_id=checkout.id)
        await give_back_uses(session, checkout.store_id, checkout_id=checkout.id, now=now)
        await release_stock(session, checkout.store_id, checkout_id=checkout.id)
        move_checkout(checkout, CheckoutState.PRICED, now=now)
        checkout.frozen = None
        checkout.held_until = None
