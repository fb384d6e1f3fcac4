"""Being told when something is back (contract row B51)."""

from typing import Annotated

import msgspec
from litestar import Response, post
from litestar.params import RequestBody
from msgspec import Meta

from app.api.dependencies import GivenNow, GivenSession, GivenShop, GivenStore
from app.api.idempotency import answered, read_key
from app.api.limits import Email, Id
from app.api.openapi import ACCEPT_LANGUAGE, EXAMPLE, KEYED, READS
from app.api.rate_limits import LIMIT
from app.api.request import ShopRequest
from app.api.storefront.logins import read_email
from app.api.transactions import transactional
from app.db import idempotency
from app.domain.catalogue.back_in_stock import wish_for
from app.kit.languages import wanted_languages
from app.kit.paging import MAX_PAGE_SIZE


class AskForReturn(msgspec.Struct, forbid_unknown_fields=True):
    """`product_ids` are ids of variants."""

    email: Email
    product_ids: Annotated[list[Id], Meta(min_length=1, max_length=MAX_PAGE_SIZE)]


class StorefrontReturnAsked(msgspec.Struct):
    """The variants of which the address will be told; ids that are not on sale are left out."""

    subscribed: list[int]


@post(
    "/products/back-in-stock",
    status_code=200,
    tags=["Catalogue"],
    operation_id="askForReturn",
    summary="Be told when variants are back",
    opt={
        READS: (ACCEPT_LANGUAGE,),
        LIMIT: "forms",
        KEYED: True,
        EXAMPLE: {"email": "ada@example.com", "product_ids": [1]},
    },
)
@transactional
async def ask_for_return(
    request: ShopRequest,
    data: RequestBody[AskForReturn],
    session: GivenSession,
    shop: GivenShop,
    store: GivenStore,
    now: GivenNow,
) -> Response[StorefrontReturnAsked]:
    """One mail goes to the address when they can be bought again, once; asked again meanwhile, it stays one.

    Known and unknown addresses are answered alike, those that have asked before too. Takes Idempotency-Key.
    """
    email, compared = read_email(data.email)
    key = await read_key(request, caller=None)
    if key is not None:
        keep_seconds = shop.settings.idempotency_seconds
        made = await idempotency.claim(session, store.id, key, now=now, keep_seconds=keep_seconds)
        if made is not None:
            return answered(msgspec.convert(made, StorefrontReturnAsked), replayed=True)
    language = wanted_languages(request.headers.get("accept-language"))
    subscribed = await wish_for(
        session,
        store.id,
        data.product_ids,
        email=email,
        email_key=compared,
        language=language,
        now=now,
    )
    answer = StorefrontReturnAsked(subscribed)
    if key is not None:
        await idempotency.keep(session, store.id, key, msgspec.to_builtins(answer))
    return answered(answer, replayed=False)
