"""Which bodies are read and how much of them: JSON and both kinds of forms, by content type, within limits."""

import asyncio
import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.datastructures import UploadFile
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserError,
    ParserLimitReached,
    PushMultipartParser,
)

from app.api.asked import asked
from app.api.errors import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    INCOMPLETE_BODY,
    MALFORMED_BODY,
    UNSUPPORTED_MEDIA_TYPE,
    HttpError,
)
from app.api.faults import invalid_field
from app.api.forms import MAX_FIELDS, FormTooLargeError, fold, parse_pairs
from app.api.shapes import Shape, shape_of
from app.kit.errors import Invalid

MAX_BODY = 256 * 1024
MAX_FILE = 10 * 1024 * 1024
MAX_FILES = 10
MAX_PARTS = 200
MAX_DRAIN = 16 * 1024 * 1024
DRAIN_SECONDS = 2.0
# How long the next piece of a body may take: whoever stops sending must not keep a call open for good.
IDLE_SECONDS = 10.0

_HELD_IN_PARTS = b"multipart"

JSON = "application/json"
_JSON = b"application/json"
_PLAIN_JSON: tuple[str, dict[str, str]] = (JSON, {})
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

# The class variable of a Struct with the names of its secrets.
BODY_ONLY = "BODY_ONLY"

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class ShopRequest(Request[Any, Any, Any]):
    """A request whose `json()` answers what the handler's `data` asks for, whatever of the three it came in.

    Litestar calls `body()` and `json()` for a parameter `data: RequestBody[SomeStruct]`; a value that is the
    Struct already passes its own conversion untouched, so JSON stays strict although parameters are lenient.
    """

    __slots__ = ("_ended", "_fingerprint", "_names")

    @property
    def content_type(self) -> tuple[str, dict[str, str]]:
        """The Content-Type and its parameters. Nearly all have the same one, and are asked many times."""
        return _PLAIN_JSON if asked(self.scope).content_type == _JSON else super().content_type

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The raw body in pieces, up to MAX_BODY."""
        if isinstance(self._body, bytes):
            yield self._body
            return
        async for chunk in self._received(MAX_BODY):
            yield chunk

    async def body(self) -> bytes:
        """The raw body. A multipart form is never held as a whole: its text is `multipart`, its parts json()."""
        if not isinstance(self._connection_state.body, bytes):
            if self.content_type[0] == MULTIPART:
                self._connection_state.body = _HELD_IN_PARTS
            else:
                self._connection_state.body = await self._received_whole(MAX_BODY)
        self._body = self._connection_state.body
        return self._body

    async def json(self) -> Any:
        """The body as the type of the handler's `data`, or as plain values where it has none."""
        data = self.route_handler.parsed_fn_signature.parameters.get("data")
        target: Any = Any if data is None else data.annotation
        return await self.read(target)

    async def read(self, target: type[T]) -> T:
        """The body as that type. Raises Invalid naming the field, or HttpError for what cannot be read."""
        known = self._connection_state.json
        if isinstance(known, tuple) and known[0] is target:
            value: T = known[1]
            return value
        wanted: Any = target
        shape = shape_of(wanted)
        kind = self.content_type[0]
        try:
            if kind == JSON:
                value = shape.from_json(await self.body())
            elif kind == URLENCODED:
                value = shape.from_form(fold(parse_pairs(await self.body())))
            elif kind == MULTIPART:
                value = shape.from_form(fold(await self._multipart(shape)))
            else:
                raise _unsupported("The body must be JSON, an urlencoded form or a multipart form.")
        except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError) as error:
            raise _malformed(error) from None
        except FormTooLargeError:
            raise too_large(f"A form has at most {MAX_FIELDS} fields.") from None
        except HttpError as refused:
            if refused.code != BODY_TOO_SLOW:  # whoever has stopped sending will hear it now
                await self._drain()
            raise
        self._connection_state.json = (target, value)
        return value

    async def fingerprint(self) -> bytes:
        """SHA-256 of what was sent: the same call has the same one, also with another multipart boundary."""
        if self.content_type[0] == MULTIPART:
            await self.json()
            found: bytes = self._fingerprint
            return found
        return hashlib.sha256(self.content_type[0].encode() + b"\n" + await self.body()).digest()

    def part_names(self) -> list[str]:
        """The names of a multipart form that was read, as often as they came."""
        names: list[str] = self._names
        return names

    def _is_received(self) -> bool:
        return bool(getattr(self, "_ended", False))

    async def _drain(self) -> None:
        """Read on and forget, within bounds: whoever is still sending would never see the refusal."""
        left = 0 if self._is_received() else MAX_DRAIN
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while left > 0:
                    event: Any = await self.receive()
                    if event["type"] == "http.disconnect" or not event.get("more_body", False):
                        self._ended = True
                        return
                    left -= len(event.get("body", b""))

    async def _received(self, limit: int) -> AsyncGenerator[bytes, None]:
        """What arrives, up to a limit that holds whatever Content-Length says."""
        await self._look_at_headers(limit)
        left = limit
        while not self._is_received():
            chunk = await self._next_chunk(limit, left)
            left -= len(chunk)
            if chunk:
                yield chunk

    async def _received_whole(self, limit: int) -> bytes:
        """As _received, for what is wanted in one: nearly every body is one chunk."""
        await self._look_at_headers(limit)
        chunks: list[bytes] = []
        left = limit
        while not self._is_received():
            chunks.append(await self._next_chunk(limit, left))
            left -= len(chunks[-1])
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _look_at_headers(self, limit: int) -> None:
        try:
            self._refuse_by_headers(limit)
        except HttpError:
            await self._drain()
            raise

    async def _next_chunk(self, limit: int, left: int) -> bytes:
        """The next piece of a body of which `left` bytes may still come."""
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                event: Any = await self.receive()
        except TimeoutError:
            raise HttpError(
                HTTPStatus.REQUEST_TIMEOUT, BODY_TOO_SLOW, "The rest of the body did not arrive."
            ) from None
        self._ended = event["type"] == "http.disconnect" or not event.get("more_body", False)
        if event["type"] == "http.disconnect":
            raise HttpError(HTTPStatus.BAD_REQUEST, INCOMPLETE_BODY, "The body ended too early.")
        chunk: bytes = event.get("body", b"")
        if len(chunk) > left:
            await self._drain()
            raise too_large(f"A body of this kind may have {limit // 1024} KB.")
        return chunk

    def _refuse_by_headers(self, limit: int) -> None:
        headers = asked(self.scope)
        encoding, announced = headers.content_encoding, headers.content_length
        if encoding is not None and encoding.strip().lower() != b"identity":
            raise _unsupported("The body must come without a content encoding.")
        if announced is None:
            return
        if not announced.isdigit():
            raise HttpError(HTTPStatus.BAD_REQUEST, BAD_REQUEST, "Content-Length must be a number.")
        if len(announced) > 15 or int(announced) > limit:
            raise too_large(f"A body of this kind may have {limit // 1024} KB.")

    async def _multipart(self, shape: Shape) -> list[tuple[str, Any]]:
        boundary = self.content_type[1].get("boundary", "")
        limit = MAX_FILES * MAX_FILE + MAX_BODY if shape.takes_files else MAX_BODY
        parts = _Parts()
        # Litestar closes what stands here when the request is over, whichever way it ends.
        self._connection_state.form = parts.files
        try:
            with PushMultipartParser(
                boundary, max_segment_count=MAX_PARTS, max_segment_size=MAX_FILE, strict=True
            ) as parser:
                async for chunk in self._received(limit):
                    if not parser.closed:
                        for event in parser.parse(chunk):
                            await parts.take(event)
        except ParserLimitReached:
            raise too_large(f"A form may have {MAX_PARTS} parts and files of 10 MB.") from None
        except MultipartError:
            raise _malformed(ParserError()) from None
        self._fingerprint = parts.digest.digest()
        self._names = [name for name, _ in parts.pairs]
        return parts.pairs


class _Parts:
    """The parts of a multipart form as they come in: text in memory, files spooled to disk past 1 MB."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, Any]] = []
        self.files: dict[str, Any] = {}
        self.digest = hashlib.sha256(MULTIPART.encode())
        self._segment: MultipartSegment | None = None
        self._file: UploadFile | None = None
        self._text = bytearray()
        self._text_total = 0
        self._size = 0

    async def take(self, event: MultipartSegment | bytearray | None) -> None:
        if isinstance(event, MultipartSegment):
            self._begin(event)
        elif event:
            await self._add(bytes(event))
        elif self._segment is not None:
            await self._end(self._segment)

    def _begin(self, segment: MultipartSegment) -> None:
        self._segment, self._file, self._size = segment, None, 0
        self._text.clear()
        self.digest.update(repr((segment.name, segment.filename)).encode())
        if segment.filename:
            if len(self.files) >= MAX_FILES:
                raise too_large(f"A form may have {MAX_FILES} files.")
            self._file = UploadFile(segment.content_type or "application/octet-stream", segment.filename)
            self.files[str(len(self.files))] = self._file

    async def _add(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        self._size += len(chunk)
        if self._file is not None:
            await self._file.write(chunk)
            return
        self._text_total += len(chunk)
        if self._text_total > MAX_BODY:
            raise too_large("The text fields of a form may have 256 KB together.")
        self._text += chunk

    async def _end(self, segment: MultipartSegment) -> None:
        self.digest.update(b"\n%d\n" % self._size)
        if self._file is not None:
            await self._file.seek(0)
            self.pairs.append((segment.name, self._file))
        elif segment.filename is None:
            self.pairs.append((segment.name, self._text.decode()))
        # a file input that was left empty comes as a part with an empty file name: nothing was sent


async def refuse_repeated_names(request: Request[Any, Any, Any]) -> None:
    """Refuse a JSON body, form or query that names a thing twice: which one counts would be a guess.

    For signed and money calls, as `before_request` of the handler.
    """
    try:
        query = request.scope["query_string"]
        names = [name for name, _ in parse_pairs(query)] if query else []
        kind = request.content_type[0]
        if kind == JSON:
            body = await request.body()
            _LOOKS_FOR_REPEATS.decode((body or b"null").decode())
        elif kind == URLENCODED:
            names += [name for name, _ in parse_pairs(await request.body())]
        elif kind == MULTIPART:
            await request.json()
            names += request.part_names() if isinstance(request, ShopRequest) else []
    except FormTooLargeError:
        raise too_large(f"A form has at most {MAX_FIELDS} fields.") from None
    except (ValueError, RecursionError) as error:
        raise _malformed(error) from None
    if not names:
        return
    single = [name for name in names if not name.endswith("[]")]
    for name, times in Counter(single).items():
        if times > 1:
            raise _repeated(name)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _repeated(next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1))
    return found


_LOOKS_FOR_REPEATS: Final = json.JSONDecoder(object_pairs_hook=_no_repeats)


def _repeated(name: str) -> Invalid:
    return invalid_field(name[:100], "repeated", "This field must come once only.")


def too_large(message: str) -> HttpError:
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, BODY_TOO_LARGE, message)


def _unsupported(message: str) -> HttpError:
    return HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED_MEDIA_TYPE, message)


def _malformed(error: Exception) -> HttpError:
    if isinstance(error, UnicodeError):
        message = "The body is not valid UTF-8."
    elif isinstance(error, RecursionError):
        message = "The body is nested too deeply."
    elif isinstance(error, ParserError):
        message = "The multipart form is broken or not finished."
    else:
        message = "The body is not valid JSON."
    return HttpError(HTTPStatus.BAD_REQUEST, MALFORMED_BODY, message)


def query_pairs(request: Request[Any, Any, Any]) -> list[tuple[str, str]]:
    """The names and values of the query, in their order. Raises HttpError for what cannot be read."""
    try:
        return parse_pairs(request.scope["query_string"])
    except UnicodeError:
        raise HttpError(HTTPStatus.BAD_REQUEST, BAD_REQUEST, "The query is not valid UTF-8.") from None
    except FormTooLargeError:
        raise HttpError(HTTPStatus.BAD_REQUEST, BAD_REQUEST, "The query has too many parts.") from None


async def read_query(request: ShopRequest, target: type[S]) -> S:
    """The query with its bracket names as a Struct, leniently; names that it does not know are ignored."""
    known = {field.encode_name for field in msgspec.structs.fields(target)}
    pairs = query_pairs(request)
    value: S = shape_of(target).from_form(fold(p for p in pairs if p[0].partition("[")[0] in known))
    return value


async def read_query_or_body(request: ShopRequest, target: type[S]) -> S:
    """The parameters of a DELETE: its body where there is one, else its query.

    What a Struct names in `BODY_ONLY` is refused in the query, whatever the body says: addresses stand in the
    logs of servers and proxies and in histories, and a secret must not.
    """
    secret: tuple[str, ...] = getattr(target, BODY_ONLY, ())
    for name, _ in query_pairs(request) if secret else ():
        if name.partition("[")[0] in secret:
            raise invalid_field(
                name[:100],
                "body_only",
                "Send this in the body: addresses are kept in logs, and a secret must not be.",
            )
    return await request.read(target) if await request.body() else await read_query(request, target)
