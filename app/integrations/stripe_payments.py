"""Paying through Stripe: one PaymentIntent for each attempt, made first and confirmed then.

Making it moves no money, so that a trouble there ends the attempt for certain; once it is made its id is
known, so that after a trouble in confirming it Stripe can be asked by that id, which is right at once,
and not by a search, which lags behind. Both calls are idempotent by the attempt's key.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import stripe
from stripe import (
    CardError,
    IdempotencyError,
    InvalidRequestError,
    PaymentIntent,
    Refund,
    StripeClient,
    StripeError,
)
from stripe.params import PaymentIntentCreateParams, RefundListParams

from app.domain.payments.services import (
    ActionNeeded,
    Charge,
    Finding,
    Outcome,
    Refused,
    ServiceDispute,
    ServiceEvent,
    ServiceRefund,
    Unheard,
    Unknown,
)
from app.integrations.stripe_amounts import from_stripe, to_stripe
from app.integrations.stripe_disputes import read_disputes
from app.integrations.stripe_events import (
    API_VERSION,
    ATTEMPT,
    CARD_FLOW,
    FLOW,
    PAGE_FLOW,
    SIGNATURE_HEADER,
    authorized,
    captured,
    check_signature,
    read_event,
)
from app.integrations.stripe_http import StripeHttp
from app.integrations.stripe_methods import StripeMethods
from app.integrations.stripe_trouble import note, reason_of
from app.kit.money import is_currency

RECENT: Final = 100
REFUND: Final = "refund"  # the name of a refund's key in its metadata
CONFLICT: Final = 409
OUT_OF_ORDER: Final = "service_unavailable"

# The library would keep an id of this machine in the home folder and send it along.
stripe.enable_telemetry = False


class StripePayments(StripeMethods):
    """The `stripe` service."""

    name = "stripe"

    def __init__(
        self,
        *,
        secret_key: str,
        publishable_key: str,
        api_base: str | None,
        account_id: str,
        webhook_secrets: tuple[str, ...],
        window: int,
    ) -> None:
        self._http = StripeHttp()
        client = StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base} if api_base else None,
            max_network_retries=0,
            http_client=self._http,
        )
        super().__init__(client)
        self._intents = client.v1.payment_intents
        self._refunds = client.v1.refunds
        self._disputes = client.v1.disputes
        self._publishable_key = publishable_key
        self._account_id = account_id
        self._webhook_secrets = webhook_secrets
        self._window = window
        self._is_live = "_live_" in secret_key

    def public_settings(self) -> dict[str, Any]:
        return {"public_key": self._publishable_key}

    def takes(self, amount: int, currency: str) -> bool:
        return to_stripe(amount, currency) is not None

    async def close(self) -> None:
        await self._http.close_async()

    async def charge(self, charge: Charge) -> Outcome:
        """Charge the PaymentMethod that the token names, or open a payment that the page confirms itself."""
        amount = to_stripe(charge.amount, charge.currency)
        if amount is None:
            return Refused("amount_not_supported")
        try:
            intent = await self._intents.create_async(
                _intent_of(charge, amount), {"idempotency_key": charge.key}
            )
        except InvalidRequestError as problem:
            return Refused(problem.code or "invalid_request")
        except StripeError as problem:
            if isinstance(problem, IdempotencyError) or problem.http_status == CONFLICT:
                # Another call of this attempt is on its way, or was, and may confirm what it made.
                return Unknown("idempotency")
            # Nothing was confirmed, and nobody was given what it takes to confirm: nothing can be charged.
            note(problem, "a payment could not be opened")
            return Refused(OUT_OF_ORDER)
        if charge.token:
            return await self._confirm(intent.id, charge)
        return _said(intent)

    async def _confirm(self, reference: str, charge: Charge) -> Outcome:
        try:
            intent = await self._intents.confirm_async(
                reference,
                {"payment_method": charge.token, "use_stripe_sdk": True},
                {"idempotency_key": f"{charge.key}-confirm"},
            )
        except CardError as problem:
            return Refused(_decline_of(problem.error), reference)
        except InvalidRequestError as problem:
            if problem.code == "payment_intent_unexpected_state":
                return Unknown(problem.code, reference)
            return Refused(problem.code or "invalid_request", reference)
        except StripeError as problem:
            note(problem, "it is not known whether a payment was made")
            return Unknown(reason_of(problem), reference)
        return _said(intent)

    async def find(self, key: str, reference: str | None) -> Finding:
        try:
            intent = await (self._intents.retrieve_async(reference) if reference else self._search(key))
            if intent is None:
                return Unheard()
            if _is_idle(intent):
                # Nobody is going to confirm it; ending it makes what we say of it final.
                return await self._end(intent)
        except StripeError as problem:
            note(problem, "a payment could not be looked up")
            return Unknown(reason_of(problem), reference)
        return _said(intent)

    async def cancel(self, key: str, reference: str | None) -> Finding:
        try:
            intent = await (self._intents.retrieve_async(reference) if reference else self._search(key))
            if intent is None:
                return Unheard()
            if intent.status in ("succeeded", "requires_capture", "canceled", "processing"):
                return _said(intent)
            return await self._end(intent)
        except StripeError as problem:
            note(problem, "a payment could not be cancelled")
            return Unknown(reason_of(problem), reference)

    async def capture(self, reference: str) -> Finding:
        try:
            # Once by its nature: what was captured can't be captured again.
            return _said(await self._intents.capture_async(reference))
        except InvalidRequestError as problem:
            note(problem, "a payment could not be captured")
            return await self._look(reference)
        except StripeError as problem:
            note(problem, "it is not known whether a payment was captured")
            return Unknown(reason_of(problem), reference)

    async def void(self, reference: str) -> Finding:
        try:
            intent = await self._intents.retrieve_async(reference)
            return await self._end(intent) if intent.status == "requires_capture" else _said(intent)
        except StripeError as problem:
            note(problem, "what is held could not be let go")
            return Unknown(reason_of(problem), reference)

    async def _look(self, reference: str) -> Finding:
        try:
            return _said(await self._intents.retrieve_async(reference))
        except StripeError as problem:
            return Unknown(reason_of(problem), reference)

    async def _end(self, intent: PaymentIntent) -> Finding:
        """Cancel, and say what the payment came to; where something was quicker, what it is now."""
        try:
            await self._intents.cancel_async(intent.id)
        except InvalidRequestError:
            return _said(await self._intents.retrieve_async(intent.id))
        failure = intent.last_payment_error
        return Refused("cancelled" if failure is None else _decline_of(failure), intent.id)

    async def _search(self, key: str) -> PaymentIntent | None:
        """By metadata: the newest by the list, which is up to date, the others by search, which may lag."""
        newest = await self._intents.list_async({"limit": RECENT})
        found = [intent for intent in newest.data if _metadata(intent).get(ATTEMPT) == key]
        if not found:
            results = await self._intents.search_async({"query": f"metadata['{ATTEMPT}']:'{key}'"})
            found = [intent for intent in results.data if _metadata(intent).get(ATTEMPT) == key]
        # What a search returns may be old; its id is not.
        return await self._intents.retrieve_async(found[0].id) if found else None

    async def refund(self, key: str, reference: str, amount: int, currency: str) -> ServiceRefund | None:
        refused = ServiceRefund(key, amount, currency, failed=True)
        wanted = to_stripe(amount, currency)
        if wanted is None:
            return refused
        try:
            # Stripe repeats also a failure for a day under the same key, though the refund was made.
            made = await self._every_refund(reference)
            before = next((one for one in made if _metadata(one).get(REFUND) == key), None)
            refund = before or await self._give_back(key, reference, wanted)
        except StripeError as problem:
            note(problem, "it is not known whether a refund was made")
            return None
        return refused if refund is None else _refunded(refund)

    async def list_refunds(self, reference: str) -> Sequence[ServiceRefund] | None:
        try:
            found = [_refunded(refund) for refund in await self._every_refund(reference)]
        except StripeError as problem:
            note(problem, "the refunds of a payment could not be listed")
            return None
        known = [refund for refund in found if refund is not None]
        return known if len(known) == len(found) else None

    async def _every_refund(self, reference: str) -> list[Refund]:
        """All refunds of a payment, newest first: the list is up to date."""
        found: list[Refund] = []
        while True:
            wanted: RefundListParams = {"payment_intent": reference, "limit": RECENT}
            if found:
                wanted["starting_after"] = found[-1].id
            page = await self._refunds.list_async(wanted)
            found.extend(page.data)
            if not page.has_more:
                return found

    async def _give_back(self, key: str, reference: str, amount: int) -> Refund | None:
        """Make a refund; None where Stripe refuses to, as it does with disputed money."""
        try:
            return await self._refunds.create_async(
                {"payment_intent": reference, "amount": amount, "metadata": {REFUND: key}},
                {"idempotency_key": key},
            )
        except InvalidRequestError as problem:
            note(problem, "a refund was refused")
            return None

    async def list_disputes(self, reference: str) -> Sequence[ServiceDispute] | None:
        try:
            # Nobody disputes one payment a hundred times.
            found = await self._disputes.list_async({"payment_intent": reference, "limit": RECENT})
        except StripeError as problem:
            note(problem, "the disputes of a payment could not be listed")
            return None
        return read_disputes(found.data)

    async def read_event(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> ServiceEvent:
        check_signature(
            body,
            headers.get(SIGNATURE_HEADER, ""),
            self._webhook_secrets,
            window=self._window,
            now=now,
        )
        return read_event(body, is_live=self._is_live, account_id=self._account_id)


def _intent_of(charge: Charge, amount: int) -> PaymentIntentCreateParams:
    """What is asked for; amount in Stripe's units."""
    wanted: PaymentIntentCreateParams = {
        "amount": amount,
        "currency": charge.currency.lower(),
        "automatic_payment_methods": (
            {"enabled": True, "allow_redirects": "never"} if charge.token else {"enabled": True}
        ),
        "metadata": {
            ATTEMPT: charge.key,
            "order_id": str(charge.order_id),
            FLOW: CARD_FLOW if charge.token else PAGE_FLOW,
        },
    }
    if charge.later:
        wanted["capture_method"] = "manual"
    if charge.customer:
        wanted["customer"] = charge.customer
    if charge.save:
        # They will be there themselves when they pay with it again.
        wanted["setup_future_usage"] = "on_session"
    return wanted


def _metadata(thing: PaymentIntent | Refund) -> dict[str, str]:
    return thing.metadata.to_dict() if thing.metadata else {}


def _refunded(refund: Refund) -> ServiceRefund | None:
    """A refund in our terms; None where its sum cannot be said in them. Until it fails, money is on its way."""
    currency = refund.currency.upper()
    amount = from_stripe(refund.amount, currency) if is_currency(currency) else None
    if not amount:
        return None
    return ServiceRefund(refund.id, amount, currency, failed=refund.status in ("failed", "canceled"))


def _is_idle(intent: PaymentIntent) -> bool:
    """Whether an attempt that we confirm waits for a confirmation, which will not come any more."""
    waits = intent.status in ("requires_payment_method", "requires_confirmation")
    return waits and _metadata(intent).get(FLOW) != PAGE_FLOW


def _said(intent: PaymentIntent) -> Outcome:
    match intent.status:
        case "succeeded":
            found = captured(intent.id, intent.amount_received, intent.currency)
            return found or Unknown("strange_amount", intent.id)
        case "requires_capture":
            held = authorized(intent.id, intent.amount_capturable, intent.currency)
            return held or Unknown("strange_amount", intent.id)
        case "canceled":
            return Refused("cancelled", intent.id)
        case "requires_action" | "requires_payment_method" | "requires_confirmation":
            return ActionNeeded(intent.id, {"client_secret": intent.client_secret})
        case _:
            return Unknown(intent.status, intent.id)


def _decline_of(failure: Any) -> str:
    """The closest word that Stripe has for a failure. Fields that say nothing are left out of it."""
    words = (getattr(failure, name, None) for name in ("decline_code", "code"))
    return str(next(filter(None, words), "card_declined"))
