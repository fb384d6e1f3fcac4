"""An account that is made on the way through the checkout (contract row B32 with a password)."""

from datetime import datetime

import msgspec
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


async def make_account(
    request: ShopRequest,
    session: AsyncSession,
    *,
    shop: Shop,
    store: StoreConfig,
    gate: Gate,
    new: NewAccount,
    password: str,
    brought: Arriving,
    now: datetime,
) -> Response[StorefrontLogin] | None:
    """Make an account and log in; None where the buyer goes on as a guest.

    That is so where the address has an account, where too many were tried (the count is that of sign-up, since
    what comes back tells whether an address is taken), and while hashing or sessions are away: nobody is kept
    from buying. What was written by then is taken back.
    """
    network = network_of(client_address(request.scope, shop.settings.trusted_proxies))
    try:
        await gate.guesses.count_sign_up(store.id, email_key(new.email) or new.email, network=network)
        digest = await gate.hasher.hash(password)
        await session.flush()
        async with session.begin_nested():
            customer = await sign_up(
                session, store, msgspec.structs.replace(new, password_digest=digest), now=now
            )
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
    except (HttpError, Unavailable):
        return None
    except Invalid as refused:
        if refused.code != EMAIL_TAKEN:
            raise
        return None
    return answer.response
