"""When carriers are asked: before a call's own transaction, never inside of one, and not more often than needed."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import select, update

from app.db.session import Sessions, transaction
from app.domain.carts.pricing import basket_of
from app.domain.carts.queries import load_cart
from app.domain.checkout.carriers import Carrier, CarrierSilentError, KeptRates, ParcelOffer, offer_of
from app.domain.checkout.models import Checkout
from app.domain.checkout.queries import list_checkout_offers
from app.domain.checkout.states import EDITABLE
from app.domain.stores.queries import StoreConfig
from app.domain.stores.shipping import LiveRate

FRESH: Final = timedelta(minutes=15)
# One who did not answer is left alone for a while: this checkout has its other prices.
AGAIN_AFTER: Final = timedelta(minutes=1)


async def ask_carriers(
    sessions: Sessions,
    carriers: Mapping[str, Carrier],
    store: StoreConfig,
    *,
    token: str,
    address: Mapping[str, Any] | None,
    now: datetime,
) -> None:
    """Ask those who could take a checkout's parcel, and keep what they say with it. Never raises for them.

    `address` is the one that the checkout is about to have; None means the one that it has. To be called
    outside of any transaction. Costs nothing in a store without options of carriers.
    """
    if not any(choice.carrier in carriers for zone in store.zones for choice in zone.options):
        return
    async with sessions() as session:
        checkout = await session.scalar(
            select(Checkout).where(Checkout.store_id == store.id, Checkout.token == token)
        )
        if checkout is None or checkout.state not in EDITABLE:
            return
        cart = await load_cart(session, store, checkout.cart_id)
        offers = await list_checkout_offers(session, store, checkout, cart, now=now)
        lines = basket_of(cart, offers).lines
        asked = offer_of(store.selling_in(cart.currency), lines, address or checkout.shipping_address)
        kept = msgspec.convert(checkout.rates, KeptRates) if checkout.rates else None
    if asked is None:
        return
    offer, names = asked
    same = kept is not None and kept.mark == offer.mark
    if kept is not None and same and kept.until > now:
        return
    known = [name for name in sorted(names) if name in carriers]
    answers = await asyncio.gather(*(_ask(carriers[name], name, offer) for name in known))
    found = [rate for answer in answers if answer is not None for rate in answer]
    silent = {name for name, answer in zip(known, answers, strict=True) if answer is None}
    if kept is not None and same:
        # What was said a while ago is nearer to the truth than what the option is set up with.
        found += [rate for rate in kept.rates if rate.carrier in silent]
    until = now + (AGAIN_AFTER if silent else FRESH)
    value = msgspec.to_builtins(KeptRates(offer.mark, until, tuple(found)))
    async with transaction(sessions) as session:
        await session.execute(
            update(Checkout)
            .where(Checkout.store_id == store.id, Checkout.id == checkout.id, Checkout.state.in_(EDITABLE))
            .values(rates=value)
        )


async def _ask(carrier: Carrier, name: str, offer: ParcelOffer) -> list[LiveRate] | None:
    try:
        rates = await carrier.rates(offer)
    except CarrierSilentError:
        return None
    return [LiveRate(name, rate.service, rate.price, rate.min_days, rate.max_days) for rate in rates]
