"""Gift cards and store credit: put on a checkout, taken off, and what is left of them."""

from typing import Annotated

import msgspec
from litestar import Response, delete, get, post, put
from litestar.params import FromPath, RequestBody

from app.api.caching import NO_STORE
from app.api.dependencies import LOGIN_NEEDED, GivenActor, GivenNow, GivenSession, GivenShop, GivenStore
from app.api.limits import Token
from app.api.openapi import EXAMPLE
from app.api.rate_limits import LIMIT
from app.api.storefront.checkouts import StorefrontCheckout, show_checkout
from app.api.transactions import transactional
from app.domain.checkout.parts import put_gift_card, use_credit
from app.domain.checkout.service import lock_editable
from app.domain.giftcards.codes import LONGEST_CODE
from app.domain.giftcards.service import find_usable_card, list_credits
from app.kit.clock import isoformat

SOME_CODE = "K7QM-X2VP-9DHT-4WRB"
# Room for the hyphens and spaces that people type with it.
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=2 * LONGEST_CODE)]


class GiftCardCode(msgspec.Struct, forbid_unknown_fields=True):
    """Upper and lower case, hyphens and spaces make no difference."""

    code: Code


class CheckoutGiftCard(GiftCardCode, forbid_unknown_fields=True):
    checkout_token: Token | None = None


class UseStoreCredit(msgspec.Struct, forbid_unknown_fields=True):
    use_store_credit: bool = True
    checkout_token: Token | None = None


class GiftCardBalance(msgspec.Struct):
    """What can be spent of a card now, in minor units; `expires_at` is null where it never ends."""

    last_four: str
    balance: int
    currency: str
    expires_at: str | None


class CreditBalance(msgspec.Struct):
    """What can be spent now, in minor units: without what a payment that is on its way holds."""

    balance: int
    currency: str


class StorefrontCredit(CreditBalance):
    """Store credit in the store's currency; `others` is what there is in other ones."""

    others: list[CreditBalance]


@put(
    "/checkout/{checkout_token:str}/gift-card",
    operation_id="putCheckoutGiftCard",
    summary="Pay with a gift card",
    tags=["Checkout"],
    opt={LIMIT: "gift_card", EXAMPLE: {"code": SOME_CODE}},
)
@transactional
async def put_checkout_gift_card(
    checkout_token: FromPath[str],
    data: RequestBody[CheckoutGiftCard],
    session: GivenSession,
    shop: GivenShop,
    store: GivenStore,
    now: GivenNow,
) -> StorefrontCheckout:
    """Lets a gift card pay what it can, in the place of another; `totals` say how much that is and what is `due`.

    422 `gift_card_not_usable` for whatever is wrong with it: unknown, expired, switched off, empty or of another
    currency, so that guessing says nothing. The card is charged when the order is placed.
    """
    checkout = await lock_editable(
        session, store.id, checkout_token, now=now, keep_seconds=shop.settings.checkout_seconds
    )
    view = await put_gift_card(session, store, checkout, code=data.code, now=now)
    return show_checkout(view, store, shop)


@delete(
    "/checkout/{checkout_token:str}/gift-card",
    status_code=200,
    operation_id="removeCheckoutGiftCard",
    summary="Take the gift card off",
    tags=["Checkout"],
    opt={LIMIT: "gift_card"},
)
@transactional
async def remove_checkout_gift_card(
    checkout_token: FromPath[str],
    session: GivenSession,
    shop: GivenShop,
    store: GivenStore,
    now: GivenNow,
) -> StorefrontCheckout:
    """Takes the gift card off the checkout; twice is fine."""
    checkout = await lock_editable(
        session, store.id, checkout_token, now=now, keep_seconds=shop.settings.checkout_seconds
    )
    view = await put_gift_card(session, store, checkout, code=None, now=now)
    return show_checkout(view, store, shop)


@put(
    "/checkout/{checkout_token:str}/store-credit",
    operation_id="useStoreCredit",
    summary="Pay with store credit",
    tags=["Checkout"],
    dependencies=LOGIN_NEEDED,
    opt={LIMIT: "checkout", EXAMPLE: {"use_store_credit": True}},
)
@transactional
async def use_store_credit(
    checkout_token: FromPath[str],
    data: RequestBody[UseStoreCredit],
    session: GivenSession,
    shop: GivenShop,
    store: GivenStore,
    now: GivenNow,
    actor: GivenActor,
) -> StorefrontCheckout:
    """Lets the customer's own credit pay what a gift card leaves, or with `use_store_credit` false no more.

    Takes the login of whoever the checkout belongs to: 404 for everybody else, its token alone is not enough.
    """
    checkout = await lock_editable(
        session, store.id, checkout_token, now=now, keep_seconds=shop.settings.checkout_seconds
    )
    view = await use_credit(
        session, store, checkout, use=data.use_store_credit, customer_id=actor.customer(), now=now
    )
    return show_checkout(view, store, shop)


@post(
    "/gift-cards/balance",
    status_code=200,
    operation_id="readGiftCard",
    summary="What is on a gift card",
    tags=["Checkout"],
    opt={LIMIT: "gift_card", EXAMPLE: {"code": SOME_CODE}},
)
@transactional
async def gift_card_balance(
    data: RequestBody[GiftCardCode], session: GivenSession, store: GivenStore, now: GivenNow
) -> Response[GiftCardBalance]:
    """What is on the card of a code. 422 `gift_card_not_usable` as where it is put on a checkout.

    The code travels in the body, since addresses end up in logs.
    """
    card = await find_usable_card(session, store.id, data.code, currency=None, now=now)
    shown = GiftCardBalance(
        last_four=card.last_four,
        balance=card.balance - card.held,
        currency=card.currency,
        expires_at=isoformat(card.expires_at) if card.expires_at else None,
    )
    return Response(shown, headers=NO_STORE)


@get(
    "/customer/store-credit",
    operation_id="getStoreCredit",
    summary="What credit there is",
    tags=["Customer"],
    dependencies=LOGIN_NEEDED,
)
@transactional
async def store_credit(
    session: GivenSession, store: GivenStore, actor: GivenActor
) -> Response[StorefrontCredit]:
    """The credit of whoever is logged in: given by the shop, or refunded to them."""
    found = {
        credit.currency: credit.balance - credit.held
        for credit in await list_credits(session, store.id, actor.customer())
    }
    shown = StorefrontCredit(
        balance=found.pop(store.currency, 0),
        currency=store.currency,
        others=[CreditBalance(balance, currency) for currency, balance in found.items()],
    )
    return Response(shown, headers=NO_STORE)
