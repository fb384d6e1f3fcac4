"""The means of payment that a customer has saved: looking at them and taking them away."""

import msgspec
from litestar import Controller, Response, delete, get

from app.api.caching import NO_STORE
from app.api.dependencies import LOGIN_NEEDED, GivenActor, GivenNow, GivenSession, GivenStore
from app.api.limits import PathId
from app.api.transactions import transactional
from app.domain.payments.models import SavedMethod
from app.domain.payments.saved import list_methods, remove_method
from app.kit.clock import isoformat


class StorefrontMethod(msgspec.Struct, frozen=True):
    """`id` is what `payment_method_id` names in paying; brand, last digits and end are what its owner knows it by."""

    id: int
    service: str
    kind: str
    brand: str
    last_four: str
    exp_month: int | None
    exp_year: int | None
    created_at: str


class StorefrontMethods(msgspec.Struct, frozen=True):
    items: list[StorefrontMethod]


def show_method(method: SavedMethod) -> StorefrontMethod:
    return StorefrontMethod(
        id=method.id,
        service=method.service,
        kind=method.kind,
        brand=method.brand,
        last_four=method.last_four,
        exp_month=method.exp_month,
        exp_year=method.exp_year,
        created_at=isoformat(method.created_at),
    )


class PaymentMethodController(Controller):
    """Every call is about what whoever is logged in has saved; anybody else's is a 404."""

    path = "/customer/payment-methods"
    dependencies = LOGIN_NEEDED
    tags = ("Customer",)

    @get("/", operation_id="listPaymentMethods", summary="Saved means of payment")
    @transactional
    async def list(
        self, session: GivenSession, store: GivenStore, actor: GivenActor
    ) -> Response[StorefrontMethods]:
        """What was saved by paying with `save_payment_method`, the newest first; a moment after the payment."""
        found = await list_methods(session, store.id, actor.customer())
        return Response(StorefrontMethods([show_method(method) for method in found]), headers=NO_STORE)

    @delete(
        "/{method_id:int}",
        status_code=204,
        operation_id="removePaymentMethod",
        summary="Remove a saved means of payment",
    )
    @transactional
    async def remove(
        self, method_id: PathId, session: GivenSession, store: GivenStore, now: GivenNow, actor: GivenActor
    ) -> None:
        """Cannot be paid with from now on, and the payment service is asked to forget it."""
        await remove_method(session, store.id, actor.customer(), method_id, now=now)
