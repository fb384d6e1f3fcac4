"""The request headers that every call looks at, read in one pass and once.

Which store is meant and under which key an answer is kept must follow from the same lines: of a header that comes
twice, one part of us would else take the first and another the last.
"""

from typing import Any, Final

import msgspec

# Under this key of the scope lies what was read.
_READ: Final = "storefront.asked"


class Asked(msgspec.Struct):
    """Of a header that comes twice the first counts, but for tags, which add up (RFC 9110, section 5.3)."""

    host: bytes = b""
    store: bytes = b""
    tags: bytes | None = None
    origin: bytes | None = None
    request_id: bytes | None = None


def asked(scope: Any) -> Asked:
    """What the headers of this call say."""
    known: Asked | None = scope.get(_READ)
    if known is not None:
        return known
    found = scope[_READ] = Asked()
    for name, value in scope["headers"]:
        if name == b"host":
            found.host = found.host or value
        elif name == b"x-store":
            found.store = found.store or value
        elif name == b"if-none-match":
            found.tags = value if found.tags is None else b"%b, %b" % (found.tags, value)
        elif name == b"origin":
            found.origin = value if found.origin is None else found.origin
        elif name == b"x-request-id":
            found.request_id = found.request_id or value
    return found


def asked_tags(scope: Any) -> str | None:
    """What If-None-Match says: the answers that are there already."""
    tags = asked(scope).tags
    return None if tags is None else tags.decode("latin-1")
