"""What buyers are asked to agree to before they pay, and what is kept of it: the words that they read, and when."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from app.domain.checkout.models import Checkout
from app.domain.stores.queries import ConsentRule, StoreConfig
from app.kit.clock import isoformat
from app.kit.errors import FieldError, Invalid, declare

CONSENT_UNKNOWN: Final = declare(Invalid, "consent_unknown", "The store does not ask for this consent.")


def write_consents(
    store: StoreConfig, checkout: Checkout, sent: Mapping[str, bool], *, now: datetime
) -> None:
    """Write what a buyer agrees to, or no longer does; what is not named stays. Raises Invalid consent_unknown.

    An agreement to other words than those of today is none.
    """
    rules = {rule.key: rule for rule in store.consents}
    for key in sent:
        if key not in rules:
            raise Invalid.at(f"consents.{key}", CONSENT_UNKNOWN, "The store does not ask for this consent.")
    given = {rule.key: at for rule, at in consents_of(store, checkout) if at is not None}
    for key, agrees in sent.items():
        if agrees:
            given.setdefault(key, isoformat(now))
        else:
            given.pop(key, None)
    kept = [{"key": key, "text": rules[key].text, "at": at} for key, at in given.items()]
    if kept != checkout.consents:
        checkout.consents = kept


def consents_of(store: StoreConfig, checkout: Checkout) -> Iterator[tuple[ConsentRule, str | None]]:
    """What the store asks for, and when the buyer agreed to it in these words; None where they have not."""
    given = {(entry["key"], entry["text"]): entry["at"] for entry in checkout.consents}
    for rule in store.consents:
        yield rule, given.get((rule.key, rule.text))


def missing_consents(store: StoreConfig, checkout: Checkout) -> list[FieldError]:
    """What must still be agreed to before paying."""
    return [
        FieldError(f"consents.{rule.key}", "required", rule.text)
        for rule, given_at in consents_of(store, checkout)
        if rule.required and given_at is None
    ]
