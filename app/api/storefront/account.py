"""Taking one's data along, and closing the account."""

from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Controller, Response, delete, get

from app.api.caching import NO_STORE
from app.api.credentials import CART_COOKIE, SESSION_COOKIE, expired_cookie, forget_actor
from app.api.dependencies import (
    LOGIN_NEEDED,
    GivenActor,
    GivenGate,
    GivenNow,
    GivenSession,
    GivenShop,
    GivenStore,
)
from app.api.openapi import EXAMPLE, QUERY
from app.api.rate_limits import LIMIT
from app.api.request import ShopRequest, read_query_or_body
from app.api.storefront.logins import prove_fresh
from app.api.transactions import transactional
from app.domain.accounts.closing import close_account
from app.domain.accounts.export import export_account
from app.domain.customers.passwords import MOST
from app.kit.clock import isoformat


class CloseAccount(msgspec.Struct, forbid_unknown_fields=True):
    """`give_up_balance`: a referral balance that is left goes back to the shop."""

    BODY_ONLY: ClassVar = ("current_password",)

    current_password: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST)] | None = None
    give_up_balance: bool = False


class AccountController(Controller):
    """Every call is about whoever is logged in."""

    path = "/customer"
    dependencies = LOGIN_NEEDED
    tags = ("Account",)

    @get(
        "/export",
        operation_id="exportAccount",
        summary="Take one's data along",
        opt={LIMIT: "lookup"},
    )
    @transactional
    async def export(
        self,
        session: GivenSession,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[dict[str, Any]]:
        """Everything that is kept of the customer, as a file: profile, addresses, orders, logins and more."""
        customer_id = actor.customer()
        exported = await export_account(session, store.id, customer_id)
        exported["sessions"] = [
            {
                "device": one.device,
                "created_at": isoformat(one.created_at),
                "last_seen_at": isoformat(one.last_seen_at),
            }
            for one in await gate.sessions.list_sessions(store.id, customer_id, now=now)
        ]
        exported["exported_at"] = isoformat(now)
        name = f"{store.code}-{now:%Y-%m-%d}.json"
        return Response(
            exported, headers={**NO_STORE, "Content-Disposition": f'attachment; filename="{name}"'}
        )

    @delete(
        "/",
        status_code=204,
        operation_id="closeAccount",
        summary="Close the account",
        opt={LIMIT: "password", QUERY: CloseAccount, EXAMPLE: {"current_password": "correct horse battery"}},
    )
    @transactional
    async def close(
        self,
        request: ShopRequest,
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        gate: GivenGate,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[None]:
        """Deletes everything personal and ends every session; orders are kept without names and addresses.

        Needs the current password, or a login of the last 15 minutes. The password is taken from the body only:
        in the address it is a 422, since addresses are kept in logs. A referral balance is refused with
        `balance_left` unless it is given up; a payment on its way with `payment_underway`.
        """
        sent = await read_query_or_body(request, CloseAccount)
        customer_id = actor.customer()
        await prove_fresh(
            request, sent.current_password, shop=shop, store=store, gate=gate, actor=actor, now=now
        )
        await close_account(session, store, customer_id, give_up=sent.give_up_balance, now=now)
        await gate.sessions.end_all_but(store.id, customer_id, None)
        forget_actor(request)
        gone = [expired_cookie(SESSION_COOKIE), expired_cookie(CART_COOKIE)] if actor.via == "cookie" else []
        return Response(None, status_code=204, cookies=gone)
