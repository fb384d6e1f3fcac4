"""The Idempotency-Key header: whose key it is, and what body it came with.

A key belongs to store, method, path and caller: the login, else the cart or checkout secret in the
call, else nobody, and then it must be long enough that nobody else has chosen it.
"""

import hashlib
from typing import Any, Final

from litestar import Response

from app.api.answers import Answer
from app.api.asked import asked
from app.api.faults import invalid_field
from app.api.request import ShopRequest
from app.db.idempotency import Key
from app.kit.actor import Actor
from app.kit.ids import digest

REPLAYED: Final = {"Idempotency-Replayed": "true"}
MAX_LENGTH: Final = 255
MIN_ANONYMOUS_LENGTH: Final = 22


def caller_of(actor: Actor, secret: str | None) -> str | None:
    """Whose a key is: the login's, else that of the cart or checkout whose secret the call has."""
    if actor.customer_id is not None:
        return f"customer {actor.customer_id}"
    return digest(secret).hex() if secret else None


async def read_key(request: ShopRequest, *, caller: str | None) -> Key | None:
    """The key of a call, None where it has none. Raises Invalid where it cannot be used."""
    header = asked(request.scope).idempotency_key
    if header is None:
        return None
    sent = header.decode("latin-1")
    least = 1 if caller else MIN_ANONYMOUS_LENGTH
    if not least <= len(sent) <= MAX_LENGTH or not sent.isascii() or not sent.isprintable():
        raise invalid_field(
            "Idempotency-Key",
            "invalid_key",
            f"The key must have {least} to {MAX_LENGTH} printable characters.",
        )
    whose = "\n".join((request.method, request.url.path, caller or "", sent))
    return Key(key_digest=hashlib.sha256(whose.encode()).digest(), body_digest=await request.fingerprint())


def answered(body: Any, *, replayed: bool, status_code: int = 200) -> Response[Any]:
    """An answer that says whether it repeats an earlier one."""
    return Answer(body, status_code=status_code, headers=REPLAYED if replayed else None)
