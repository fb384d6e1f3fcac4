"""The request headers that every call looks at, read in one pass and once.

Which store is meant and under which key an answer is kept must follow from the same lines: of a header that comes
twice, one part of us would else take the first and another the last.
"""

from typing import Any, Final

import msgspec

# Under this key of the scope lies what was read.
_READ: Final = "storefront.asked"
_FIELDS: Final = {
    b"host": "host",
    b"x-store": "store",
    b"if-none-match": "tags",
    b"origin": "origin",
    b"x-request-id": "request_id",
    b"content-type": "content_type",
    b"content-length": "content_length",
    b"content-encoding": "content_encoding",
    b"idempotency-key": "idempotency_key",
}
# Of these the first counts that says something.
_FILLED: Final = frozenset({"host", "store", "request_id"})


class Asked(msgspec.Struct):
    """Of a header that comes twice the first counts, but for tags, which add up (RFC 9110, section 5.3)."""

    host: bytes = b""
    store: bytes = b""
    tags: bytes | None = None
    origin: bytes | None = None
    request_id: bytes | None = None
    content_type: bytes | None = None
    content_length: bytes | None = None
    content_encoding: bytes | None = None
    idempotency_key: bytes | None = None


def asked(scope: Any) -> Asked:
    """What the headers of this call say."""
    before: Asked | None = scope.get(_READ)
    if before is not None:
        return before
    found = scope[_READ] = Asked()
    for name, value in scope["headers"]:
        field = _FIELDS.get(name)
        if field is None:
            continue
        known = getattr(found, field)
        if known is None or (not known and field in _FILLED):
            setattr(found, field, value)
        elif field == "tags":
            found.tags = b"%b, %b" % (known, value)
    return found


def asked_tags(scope: Any) -> str | None:
    """What If-None-Match says: the answers that are there already."""
    tags = asked(scope).tags
    return None if tags is None else tags.decode("latin-1")
