"""An account that is made on the way through the checkout (contract row B32 with a password)."""

from datetime import datetime

from litestar import Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.client import client_address, network_of
from app.api.dependencies import Shop
from app.api.errors import HttpError
from app.api.gate import Gate
from app.api.request import ShopRequest
from app.api.storefront.logins import Arriving, answer_login
from app.api.storefront.profile import StorefrontLogin
from app.domain.accounts.signing import NewAccount, sign_up
from app.domain.customers.errors import EMAIL_TAKEN
from app.domain.stores.queries import StoreConfig
from app.kit.errors import Invalid, Unavailable
from app.kit.places import email_key


async def hash_for_account(
    request: ShopRequest, *, shop: Shop, store: StoreConfig, gate: Gate, email: str, password: str
) -> str | None:
    """The digest of a checked password for an account of that address; None where none can be made now.

    That is so where too many were tried (the count is that of sign-up, since what comes back tells whether an
    address is taken), and while hashing is away: nobody is kept from buying. Comes before the checkout is
    locked, so that no transaction waits for it.
    """
    network = network_of(client_address(request.scope, shop.settings.trusted_proxies))
    try:
        await gate.guesses.count_sign_up(store.id, email_key(email) or email, network=network)
        return await gate.hasher.hash(password)
    except (HttpError, Unavailable):
        return None


async def make_account(
    request: ShopRequest,
    session: AsyncSession,
    *,
    shop: Shop,
    store: StoreConfig,
    gate: Gate,
    new: NewAccount,
    brought: Arriving,
    now: datetime,
) -> Response[StorefrontLogin] | None:
    """Make an account and log in; None where the buyer goes on as a guest.

    That is so where the address has an account, and while sessions are away. What was written by then is
    taken back.
    """
    try:
        await session.flush()
        async with session.begin_nested():
            customer = await sign_up(session, store, new, now=now)
            answer = await answer_login(
                request,
                session,
                shop=shop,
                store=store,
                gate=gate,
                customer=customer,
                brought=brought,
                now=now,
                tells_of_device=False,
            )
    except Unavailable:
        return None
    except Invalid as refused:
        if refused.code != EMAIL_TAKEN:
            raise
        return None
    return answer.response
