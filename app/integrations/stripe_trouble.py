"""How trouble with Stripe is named, for the shop and for its operator."""

import logging

from stripe import StripeError

logger = logging.getLogger(__name__)


def reason_of(problem: StripeError) -> str:
    return str(problem.code or (f"http_{problem.http_status}" if problem.http_status else "no_answer"))


def note(problem: StripeError, what: str) -> None:
    """A line for the operator. Stripe's own words stay out: they may repeat what a caller sent."""
    logger.warning("%s: %s %s (%s)", what, type(problem).__name__, reason_of(problem), problem.request_id)
