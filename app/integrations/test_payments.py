"""A payment service without a company behind it, for development: each token is a known course of events."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import queue
from app.db.session import Sessions, transaction
from app.domain.payments.errors import BAD_SIGNATURE
from app.domain.payments.services import (
    ActionNeeded,
    Captured,
    Charge,
    Finding,
    Outcome,
    Refused,
    ServiceEvent,
    ServiceMethod,
    ServiceRefund,
    Unheard,
    Unknown,
)
from app.kit import ids
from app.kit.clock import utc_now
from app.kit.errors import Forbidden, Invalid

HANG_SECONDS: Final = 30.0
LATE: Final = timedelta(seconds=3)
DELIVER: Final = "test_payments.deliver"
SAVED: Final = "saved_"  # how tokens of saved means begin; they pay
SIGNATURE_HEADER: Final = "test-signature"

# What each `payment_token` leads to, as the document and docs/test-payments.md tell it.
COURSES: Final = {
    "ok": "204, the order is placed",
    "decline": "402 `payment_declined`, and the checkout can be paid anew",
    "second_step": (
        '402 `second_step_required` with `next_step_url`: after a `POST` there (`{"decision": "decline"}` '
        "refuses), the confirm call finishes"
    ),
    "hang": "202 after ten seconds of waiting; the service answers after thirty",
    "late": "202; a webhook of the service settles it three seconds later",
}

_FIRST_STATE: Final = {
    "ok": "captured",
    "decline": "declined",
    "second_step": "waiting",
    "": "waiting",
    "hang": "hanging",
    "late": "processing",
}

_CHARGE: Final = text(
    """
    INSERT INTO test_charges (key, reference, amount, currency, state, return_url)
    VALUES (:key, :reference, :amount, :currency, :state, :return_url)
    ON CONFLICT (key) DO NOTHING
    RETURNING key
    """
)
# A hanging charge is taken after its time, whether or not its caller is still there.
_FIND: Final = text(
    """
    SELECT reference, amount, currency, CASE
        WHEN state = 'hanging' AND created_at < now() - make_interval(secs => :hang) THEN 'captured'
        ELSE state
    END AS state
    FROM test_charges WHERE key = :key
    """
)
_MOVE: Final = text(
    "UPDATE test_charges SET state = :new WHERE key = :key AND state = ANY(:old) RETURNING key"
)
_DECIDE: Final = text(
    "UPDATE test_charges SET state = :new WHERE reference = :reference AND state = 'waiting' RETURNING key"
)
_PAGE: Final = text(
    "SELECT amount, currency, state, return_url FROM test_charges WHERE reference = :reference"
)


class TestCharge(msgspec.Struct, frozen=True):
    """A charge as its page shows it."""

    __test__ = False

    amount: int
    currency: str
    state: str
    return_url: str


class TestPayments:
    """The `test` service. Its charges are rows of its own, as another company's would be."""

    __test__ = False
    name = "test"

    def __init__(self, sessions: Sessions, *, public_url: str, secrets: tuple[str, ...], window: int) -> None:
        self._sessions = sessions
        self._public_url = public_url
        self._secrets = secrets
        self._window = window

    def public_settings(self) -> dict[str, Any]:
        return {"public_key": "test"}

    def takes(self, amount: int, currency: str) -> bool:  # noqa: ARG002 - no bank stands behind it
        return True

    async def charge(self, charge: Charge) -> Outcome:
        state = "captured" if charge.token.startswith(SAVED) else _FIRST_STATE.get(charge.token)
        if state is None:
            return Refused("unknown_test_card")
        async with transaction(self._sessions) as session:
            made = await session.execute(
                _CHARGE,
                {
                    "key": charge.key,
                    "reference": f"test_{ids.new_token()}",
                    "amount": charge.amount,
                    "currency": charge.currency,
                    "state": state,
                    "return_url": charge.return_url,
                },
            )
            fresh = made.first() is not None
            if fresh and charge.token == "late":  # noqa: S105 - the name of a course of events
                await self._deliver_later(session, charge.key)
        if fresh and charge.token == "hang":  # noqa: S105 - as above
            await asyncio.sleep(HANG_SECONDS)
            await self._move(charge.key, "captured", "hanging")
        finding = await self.find(charge.key, None)
        return Unknown("unheard") if isinstance(finding, Unheard) else finding

    async def find(self, key: str, reference: str | None) -> Finding:  # noqa: ARG002 - the key is enough here
        async with self._sessions() as session:
            row = (await session.execute(_FIND, {"key": key, "hang": HANG_SECONDS})).first()
        if row is None:
            return Unheard()
        match row.state:
            case "captured":
                return Captured(row.reference, row.amount, row.currency)
            case "declined":
                return Refused("card_declined", row.reference)
            case "waiting":
                url = f"{self._public_url}/test-payments/{row.reference}"
                return ActionNeeded(row.reference, {"next_step_url": url})
            case _:
                return Unknown("processing", row.reference)

    async def cancel(self, key: str, reference: str | None) -> Finding:
        await self._move(key, "declined", "waiting")
        return await self.find(key, reference)

    async def refund(self, key: str, reference: str, amount: int, currency: str) -> ServiceRefund | None:  # noqa: ARG002 - it has no books of refunds
        return ServiceRefund(f"refund-{key}", amount, currency)

    async def list_refunds(self, reference: str) -> Sequence[ServiceRefund] | None:  # noqa: ARG002 - as above
        return ()

    async def make_customer(self, key: str) -> str | None:  # noqa: ARG002 - all are the same one here
        return SAVED

    async def find_method(self, reference: str) -> ServiceMethod | None:
        return ServiceMethod(f"{SAVED}{reference}", SAVED, "card", "test", "4242", 12, 2099)

    async def forget_method(self, reference: str) -> bool:  # noqa: ARG002 - it kept nothing
        return True

    async def forget_customer(self, reference: str) -> bool:  # noqa: ARG002 - as above
        return True

    async def close(self) -> None:
        """Nothing of its own is open."""

    async def get_charge(self, reference: str) -> TestCharge | None:
        """What the page of a second step shows."""
        async with self._sessions() as session:
            row = (await session.execute(_PAGE, {"reference": reference})).first()
        return None if row is None else TestCharge(*row)

    async def decide(self, reference: str, *, approve: bool) -> None:
        """The shopper's answer on the page of the second step; only the first one counts."""
        async with transaction(self._sessions) as session:
            await session.execute(
                _DECIDE, {"reference": reference, "new": "captured" if approve else "declined"}
            )

    async def read_event(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> ServiceEvent:
        stamp, _, signature = headers.get(SIGNATURE_HEADER, "").partition(",")
        fresh = stamp.isascii() and stamp.isdigit() and abs(now.timestamp() - int(stamp[:12])) <= self._window
        if not fresh or not ids.verify(self._secrets, signature, stamp, body):
            raise Forbidden(BAD_SIGNATURE, "The signature does not fit, or is too old.")
        try:
            return msgspec.json.decode(body, type=ServiceEvent)
        except msgspec.DecodeError as problem:
            raise Invalid("validation_failed", "This is no event of the test service.") from problem

    def sign(self, body: str, *, now: datetime) -> str:
        """The value of the signature header for an event."""
        stamp = str(int(now.timestamp()))
        return f"{stamp},{ids.sign(self._secrets[0], stamp, body)}"

    async def deliver(self, payload: Mapping[str, Any], *, address: str) -> None:
        """Capture a late charge and tell the shop by a signed event. Raises where the shop does not take it."""
        key = payload["key"]
        await self._move(key, "captured", "processing")
        finding = await self.find(key, None)
        if not isinstance(finding, Captured):
            return
        event = ServiceEvent(event_id=f"evt-{key}", kind="charge.captured", key=key, finding=finding)
        body = msgspec.json.encode(event).decode()
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: self.sign(body, now=utc_now())}
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            answer = await client.post(address, content=body, headers=headers)
            answer.raise_for_status()

    async def _deliver_later(self, session: AsyncSession, key: str) -> None:
        await queue.enqueue(
            session,
            store_id=0,
            kind=DELIVER,
            dedupe_key=key,
            payload={"key": key},
            run_at=utc_now() + LATE,
        )

    async def _move(self, key: str, new: str, *old: str) -> None:
        async with transaction(self._sessions) as session:
            await session.execute(_MOVE, {"key": key, "new": new, "old": list(old)})
