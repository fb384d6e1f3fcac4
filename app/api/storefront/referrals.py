"""What inviting others earned, and asking to be paid out (contract row B29 and the referral page)."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import RequestBody

from app.api.caching import NO_STORE
from app.api.dependencies import LOGIN_NEEDED, GivenActor, GivenNow, GivenSession, GivenShop, GivenStore
from app.api.idempotency import answered, caller_of, read_key
from app.api.limits import MAX_MINOR
from app.api.openapi import EXAMPLE, KEYED
from app.api.request import ShopRequest, refuse_repeated_names
from app.api.transactions import transactional
from app.db import idempotency
from app.domain.accounts.referral import Referral, get_referral
from app.domain.accounts.withdrawals import WithdrawalView, get_withdrawal, request_withdrawal
from app.domain.stores.queries import ReferralRule, StoreConfig
from app.kit.clock import isoformat


class AskForWithdrawal(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` in minor units of the store's currency."""

    amount: Annotated[int, msgspec.Meta(ge=1, le=MAX_MINOR)]


class StorefrontInvited(msgspec.Struct):
    """Somebody who came by the invitation; `reward` is null until they have paid their first order."""

    name: str
    joined_at: str
    reward: int | None


class StorefrontMovement(msgspec.Struct):
    """`kind` is reward, withdrawal (`status` as of the withdrawal) or refused."""

    at: str
    kind: str
    amount: int
    status: str | None


class StorefrontReferral(msgspec.Struct):
    """`reward` says what an invitation earns: an `amount`, or a `share` of the first order's goods in basis points.

    The lists hold the newest hundred.
    """

    invite_token: str
    reward: ReferralRule
    currency: str
    balance: int
    invited_count: int
    invited: list[StorefrontInvited]
    movements: list[StorefrontMovement]


def _show(referral: Referral, store: StoreConfig) -> StorefrontReferral:
    return StorefrontReferral(
        invite_token=referral.invite_token,
        reward=store.referral,
        currency=store.currency,
        balance=referral.balance,
        invited_count=referral.invited_count,
        invited=[
            StorefrontInvited(one.name, isoformat(one.joined_at), one.reward) for one in referral.invited
        ],
        movements=[
            StorefrontMovement(isoformat(one.at), one.kind, one.amount, one.status)
            for one in referral.movements
        ],
    )


class ReferralController(Controller):
    """Every call is about whoever is logged in."""

    path = "/customer"
    dependencies = LOGIN_NEEDED
    tags = ("Customer",)

    @get("/referral", operation_id="getReferral", summary="Invitations and what they earned")
    @transactional
    async def read(
        self, session: GivenSession, store: GivenStore, actor: GivenActor
    ) -> Response[StorefrontReferral]:
        """The invite token, who came by it, the balance and its movements."""
        referral = await get_referral(session, store.id, actor.customer())
        return Response(_show(referral, store), headers=NO_STORE)

    @post(
        "/withdrawals",
        status_code=200,
        operation_id="askForWithdrawal",
        summary="Ask to be paid out",
        opt={EXAMPLE: {"amount": 1000}, KEYED: True},
        before_request=refuse_repeated_names,
    )
    @transactional
    async def withdraw(
        self,
        request: ShopRequest,
        data: RequestBody[AskForWithdrawal],
        session: GivenSession,
        shop: GivenShop,
        store: GivenStore,
        now: GivenNow,
        actor: GivenActor,
    ) -> Response[WithdrawalView]:
        """Asks the shop to pay out a part of the balance, which leaves it at once; `balance` is what is left.

        More than the balance holds is a 422 `balance_too_small`. Takes Idempotency-Key.
        """
        customer_id = actor.customer()
        key = await read_key(request, caller=caller_of(actor, None))
        made = await idempotency.claim(
            session, store.id, key, now=now, keep_seconds=shop.settings.idempotency_seconds
        )
        if made is not None:
            view = await get_withdrawal(session, store.id, customer_id, made["withdrawal_id"])
            return answered(view, replayed=True)
        view = await request_withdrawal(session, store, customer_id, amount=data.amount, now=now)
        await idempotency.keep(session, store.id, key, {"withdrawal_id": view.id})
        return answered(view, replayed=False)
