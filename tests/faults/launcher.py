"""Runs `storefront serve` or `storefront worker` as it is, with places at which a test can let it fall.

    python -m tests.faults.launcher serve

The product knows nothing of this. Functions at the steps of an order are wrapped before the command starts;
where a file named after role and step lies in FAULTS_TRAPS, the first process to come by removes it and kills
itself. The patience of minutes that a killed process leaves behind (leases, calls that may still be on their
way) is cut to seconds, in the same proportions, so that a test can see the end of it.
"""

import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from app.integrations.embedded.child import die_with_parent

STRIPE_SECONDS = 2.0  # a busy machine takes its time, and two calls make a charge
CUSTOMER_SECONDS = 0.2  # nobody saves a card there
CALL_SECONDS = 4.5
CALL_IS_OVER_SECONDS = 5.0
JOB_SECONDS = 5.0
LEASE = timedelta(seconds=6)
LONGEST_GAP_SECONDS = 4

# (role, step, module, name inside it, whether the fall comes before the call or after it)
STEPS = (
    ("serve", "reserve_written", "app.api.storefront.payments", "reserve", "after"),
    ("serve", "reserve_committed", "app.api.storefront.payments", "_reserve", "after"),
    ("serve", "service_not_called", "app.integrations.stripe_payments", "StripePayments.charge", "before"),
    ("serve", "intent_made", "app.integrations.stripe_payments", "StripePayments._confirm", "before"),
    ("serve", "charged", "app.integrations.stripe_payments", "StripePayments._confirm", "after"),
    ("serve", "placed", "app.domain.checkout.completing", "_end_uses", "before"),
    ("serve", "settle_written", "app.domain.checkout.till", "settle", "after"),
    ("serve", "settle_committed", "app.domain.checkout.till", "Till.outcome", "before"),
    ("serve", "event_not_taken", "app.api.webhooks.payments", "take_event", "before"),
    ("serve", "event_written", "app.api.webhooks.payments", "take_event", "after"),
    ("worker", "job_taken", "app.worker", "_run", "before"),
    ("worker", "mail_not_sent", "app.integrations.mail", "FileMailer.send", "before"),
    ("worker", "mail_sent", "app.integrations.mail", "FileMailer.send", "after"),
    ("worker", "job_done", "app.db.outcomes", "finish", "before"),
    ("worker", "job_finish_written", "app.db.outcomes", "finish", "after"),
    ("worker", "service_not_asked", "app.integrations.stripe_payments", "StripePayments.find", "before"),
    ("worker", "service_asked", "app.integrations.stripe_payments", "StripePayments.find", "after"),
    ("worker", "settle_written", "app.domain.checkout.till", "settle", "after"),
    ("worker", "refund_not_asked", "app.integrations.stripe_payments", "StripePayments.refund", "before"),
    ("worker", "refund_made", "app.integrations.stripe_payments", "StripePayments.refund", "after"),
    ("worker", "refund_written", "app.domain.checkout.jobs", "note_refund", "after"),
)


def main() -> None:
    role = sys.argv[1]
    # Nothing is left behind by a test run that is itself killed.
    die_with_parent(int(os.environ["FAULTS_PARENT"]), signal.SIGKILL)
    traps = Path(os.environ["FAULTS_TRAPS"])
    for whose, step, module, name, when in STEPS:
        if whose == role:
            _wrap(importlib.import_module(module), name, traps / step_file(whose, step), when)
    _hurry()
    from app.cli import main as storefront

    storefront(prog_name="storefront")


def step_file(role: str, step: str) -> str:
    return f"{role}-{step}"


def _wrap(module: Any, name: str, trap: Path, when: str) -> None:
    *owners, last = name.split(".")
    owner = functools.reduce(getattr, owners, module)
    real: Callable[..., Any] = getattr(owner, last)

    @functools.wraps(real)
    async def walked(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            _fall(trap)
        result = await real(*args, **kwargs)
        if when == "after":
            _fall(trap)
        return result

    setattr(owner, last, walked)


def _fall(trap: Path) -> None:
    try:
        trap.unlink()  # of several processes one falls
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _hurry() -> None:
    from app import worker
    from app.db import queue
    from app.domain.checkout import till
    from app.integrations import stripe_http

    shorter = (
        (till, "CUSTOMER_SECONDS", CUSTOMER_SECONDS),
        (till, "CALL_SECONDS", CALL_SECONDS),
        (till, "CALL_IS_OVER_SECONDS", CALL_IS_OVER_SECONDS),
        (stripe_http, "CALL_SECONDS", STRIPE_SECONDS),
        (worker, "JOB_SECONDS", JOB_SECONDS),
        (queue, "LONGEST_GAP_SECONDS", LONGEST_GAP_SECONDS),
    )
    for module, name, seconds in shorter:
        assert getattr(module, name) > seconds, name
        setattr(module, name, seconds)
    defaults = queue.take.__kwdefaults__
    assert defaults["lease"] > LEASE
    defaults["lease"] = LEASE


if __name__ == "__main__":
    main()
