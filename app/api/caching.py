"""When a reader may keep an answer and when it has it already: ETag, If-None-Match and Cache-Control (RFC 9110)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from zlib import adler32, crc32

from litestar import Request, Response

from app.api.asked import asked_tags

# A shared cache may keep what is the same for everyone, for a short while; after that it asks with the tag.
CATALOGUE: Final = "public, max-age=30, stale-while-revalidate=60"
_LINES: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", CATALOGUE.encode()),
    (b"vary", b"X-Store"),
)
# What belongs to one shopper is kept nowhere.
NO_STORE: Final = {"Cache-Control": "private, no-store"}


def tag_of(body: bytes) -> str:
    """A strong tag: the same bytes, the same tag.

    Two checksums and the length tell versions of one answer apart; nobody gains from a collision, and on a
    page of 48 KB they take 20 us where SHA-256 takes 70 to 140.
    """
    return f'"{crc32(body):08x}{adler32(body):08x}{len(body):x}"'


def version_tag(scope: Any, store_id: int, version: int) -> str:
    """A strong tag that needs no body: the address, the version of the store's catalogue, and our own code."""
    address = crc32(scope["query_string"], crc32(scope["path"].encode()))
    return f'"{version:x}-{store_id:x}-{address:08x}{_CODE:08x}"'


def _code_mark(folders: Iterable[Path]) -> int:
    """Another release may answer otherwise, so what makes answers is part of their tags."""
    mark = 0
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            mark = crc32(file.read_bytes(), mark)
    return mark


_APP: Final = Path(__file__).parent.parent
_CODE: Final = _code_mark((_APP / "api", _APP / "domain" / "catalogue", _APP / "domain" / "discovery"))


class NotModified(Exception):  # noqa: N818 - no error: whoever asks has the answer already
    """Raised before anything is read; the answer is a 304 with this tag."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


class CatalogueAnswer(Response[bytes]):
    """Bytes of JSON with the headers of the catalogue, or with None a 304: complete as it is.

    Litestar's own way from a Response to what is sent takes longer than all the rest of a kept page.
    """

    __slots__ = ("_lines",)

    def __init__(self, body: bytes | None, tag: str) -> None:
        self.content = body or b""
        self.status_code = 304 if body is None else 200
        self._lines = [*catalogue_lines(tag), (b"content-length", b"%d" % len(self.content))]

    def to_asgi_response(self, *_args: Any, **_settings: Any) -> Any:
        """Itself: nothing that a route could set is missing."""
        return self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - ASGI has all three
        await send({"type": "http.response.start", "status": self.status_code, "headers": self._lines})
        await send({"type": "http.response.body", "body": self.content, "more_body": False})


def answer_not_modified(_: Request[Any, Any, Any], known: NotModified) -> Response[bytes]:
    return CatalogueAnswer(None, known.tag)


def catalogue_lines(tag: str) -> list[tuple[bytes, bytes]]:
    """What is the same for everyone may be kept by everyone; which store is meant may stand in a header."""
    return [*_LINES, (b"etag", tag.encode())]


def matches(header: str, tag: str) -> bool:
    """Whether If-None-Match names the tag; comparison is weak, as RFC 9110 asks for GET."""
    if header.strip() == "*":
        return True
    return any(part.strip().removeprefix("W/") == tag for part in header.split(","))


def cached_response(
    request: Request[Any, Any, Any], body: bytes, *, tag: str | None = None
) -> Response[bytes]:
    """The bytes with their tag, or 304 without them for whoever has them already."""
    tag = tag or tag_of(body)
    known = asked_tags(request.scope)
    return CatalogueAnswer(None if known is not None and matches(known, tag) else body, tag)
