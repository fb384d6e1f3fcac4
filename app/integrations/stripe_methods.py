"""Means of payment that Stripe keeps: a Customer of Stripe for each of ours, known there by a number and no name."""

from stripe import InvalidRequestError, PaymentMethod, StripeClient, StripeError

from app.domain.payments.services import ServiceMethod
from app.integrations.stripe_trouble import note


class StripeMethods:
    """The part of the `stripe` service that keeps means of payment."""

    def __init__(self, client: StripeClient) -> None:
        self._customers = client.v1.customers
        self._methods = client.v1.payment_methods
        self._charges = client.v1.payment_intents

    async def make_customer(self, key: str) -> str | None:
        try:
            # Neither name nor address: what a shop need not tell, it does not.
            made = await self._customers.create_async(
                {"metadata": {"made_by": key}}, {"idempotency_key": key}
            )
        except StripeError as problem:
            note(problem, "a customer could not be made known")
            return None
        return made.id

    async def find_method(self, reference: str) -> ServiceMethod | None:
        try:
            intent = await self._charges.retrieve_async(reference, {"expand": ["payment_method"]})
        except StripeError as problem:
            note(problem, "what was paid with could not be looked up")
            return None
        method = intent.payment_method
        return _read(method) if isinstance(method, PaymentMethod) else None

    async def forget_method(self, reference: str) -> bool:
        try:
            await self._methods.detach_async(reference)
        except InvalidRequestError as problem:
            note(problem, "a means of payment was gone before")
        except StripeError as problem:
            note(problem, "it is not known whether a means of payment was forgotten")
            return False
        return True

    async def forget_customer(self, reference: str) -> bool:
        try:
            await self._customers.delete_async(reference)
        except InvalidRequestError as problem:
            note(problem, "a customer was gone before")
        except StripeError as problem:
            note(problem, "it is not known whether a customer was forgotten")
            return False
        return True


def _read(method: PaymentMethod) -> ServiceMethod:
    owner = method.customer
    customer = owner if isinstance(owner, str) else (owner.id if owner else "")
    # What there is nothing to say of may be left out of the object.
    card = getattr(method, "card", None) if method.type == "card" else None
    if card is None:
        return ServiceMethod(method.id, customer, method.type)
    return ServiceMethod(
        method.id, customer, method.type, card.brand, card.last4, card.exp_month, card.exp_year
    )
