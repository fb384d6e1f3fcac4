"""Which status and which envelope an error becomes: the only place that knows status numbers of errors."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from app.api.faults import invalid_shape, translate
from app.kit.errors import (
    FORBIDDEN,
    LOGIN_REQUIRED,
    NOT_FOUND,
    UNAVAILABLE,
    VALIDATION_FAILED,
    AppError,
    Conflict,
    Declined,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
    declare,
)
from app.log import request_id

log = structlog.get_logger("storefront.errors")

PROBLEM_JSON = "application/problem+json"
DOCS = "/docs/errors"


class HttpError(AppError):
    """A fault of the HTTP message itself, which only the edge can see."""

    def __init__(self, status: int, code: str, message: str, **data: Any) -> None:
        super().__init__(code, message, **data)
        self.status = int(status)
        self.headers: dict[str, str] = {}


MALFORMED_BODY = declare(HttpError, "malformed_body", "400: the body is not what its content type says.")
INCOMPLETE_BODY = declare(HttpError, "incomplete_body", "400: the body ended before its announced length.")
BAD_REQUEST = declare(HttpError, "bad_request", "400: the request cannot be read.")
BODY_TOO_SLOW = declare(
    HttpError, "body_too_slow", "408: nothing of the body arrived for 10 s; please repeat the call."
)
METHOD_NOT_ALLOWED = declare(
    HttpError, "method_not_allowed", "405: the address exists, but not for this method; see `Allow`."
)
BODY_TOO_LARGE = declare(
    HttpError, "body_too_large", "413: JSON and forms may have 256 KB, an uploaded file 10 MB."
)
UNSUPPORTED_MEDIA_TYPE = declare(
    HttpError,
    "unsupported_media_type",
    "415: bodies are JSON, urlencoded or multipart forms, without a content encoding.",
)
REQUEST_REFUSED = declare(HttpError, "request_refused", "The request was refused; the status says why.")
INTERNAL_ERROR = declare(HttpError, "internal_error", "500: our fault, and it has been written down.")

STATUSES: dict[type[AppError], int] = {
    NotFound: 404,
    Invalid: 422,
    Conflict: 409,
    Forbidden: 403,
    Declined: 402,
    Unavailable: 503,
    Unauthenticated: 401,
}


class Problem(msgspec.Struct, frozen=True):
    """An error on its way out, before a surface has given it its envelope."""

    status: int
    code: str
    detail: str
    request_id: str
    errors: tuple[FieldError, ...] | None = None
    data: dict[str, Any] = {}
    headers: dict[str, str] = {}


Envelope = Callable[[Problem], tuple[str, bytes]]


def problem_json(problem: Problem) -> tuple[str, bytes]:
    """RFC 9457, the envelope of the storefront and of everything that has none of its own."""
    fields = {
        **problem.data,
        "type": f"{DOCS}#{problem.code}",
        "title": problem.code.replace("_", " ").capitalize(),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": problem.request_id,
    }
    if problem.errors is not None:
        fields["errors"] = problem.errors
    return PROBLEM_JSON, msgspec.json.encode(fields)


class Envelopes:
    """Which envelope a path has: the longest registered prefix decides, routing errors included."""

    def __init__(self, by_prefix: Mapping[str, Envelope]) -> None:
        self._by_prefix = sorted(by_prefix.items(), key=lambda item: -len(item[0]))

    def choose(self, path: str) -> Envelope:
        for prefix, envelope in self._by_prefix:
            if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                return envelope
        return problem_json

    def answer(
        self, path: str, error: BaseException, handler: Any = None
    ) -> tuple[int, str, bytes, dict[str, str]]:
        """Status, media type, body and headers for an error that a request ended with."""
        problem = to_problem(error, handler)
        media_type, body = self.choose(path)(problem)
        return problem.status, media_type, body, problem.headers

    def handle(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """Litestar's exception handler for everything."""
        status, media_type, body, headers = self.answer(
            request.scope["path"], error, request.scope.get("route_handler")
        )
        return Response(body, status_code=status, media_type=media_type, headers=headers)


def to_problem(error: BaseException, handler: Any = None) -> Problem:
    """Say what happened in terms of the contract; what nobody expected is logged and told without detail."""
    known = _from_http(error, handler) if isinstance(error, HTTPException) else translate(error)
    if known is None:
        log.error("unexpected error", exc_info=error)
        known = HttpError(500, INTERNAL_ERROR, "Something went wrong on our side.")
    headers: dict[str, str] = {}
    if isinstance(known, HttpError):
        status, headers = known.status, known.headers
    else:
        status = next(number for kind, number in STATUSES.items() if isinstance(known, kind))
    if isinstance(known, Unauthenticated):
        # RFC 6750, 3.1: no error is named where nothing was shown.
        told = ', error="invalid_token"' if known.ended else ""
        headers = {"WWW-Authenticate": f'Bearer realm="storefront"{told}'}
    elif isinstance(known, Unavailable):
        headers = {"Retry-After": str(known.retry_after)}
    return Problem(
        status=status,
        code=known.code,
        detail=known.message,
        request_id=request_id.get(),
        errors=known.errors if isinstance(known, Invalid) else None,
        data=known.data,
        headers=headers,
    )


def _from_http(error: HTTPException, handler: Any) -> AppError | None:  # noqa: PLR0911 - one row per status
    if isinstance(error, ValidationException):
        return _from_parameters(error, handler)
    status = error.status_code
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(NOT_FOUND, "There is nothing at this address.")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = HttpError(status, METHOD_NOT_ALLOWED, "This address does not know this method.")
        methods = (error.headers or {}).get("allow", "").split(",")
        allowed.headers = {"Allow": ", ".join(sorted(filter(None, map(str.strip, methods))))}
        return allowed
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return HttpError(status, BODY_TOO_LARGE, "The body is too large.")
    if status == HTTPStatus.UNAUTHORIZED:
        return Unauthenticated(LOGIN_REQUIRED, "This call needs a login.")
    if status == HTTPStatus.FORBIDDEN:
        return Forbidden(FORBIDDEN, "You may not do this.")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Unavailable(UNAVAILABLE, "The shop cannot answer this right now.")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    if status == HTTPStatus.BAD_REQUEST:
        return HttpError(status, BAD_REQUEST, "The request cannot be read.")
    return HttpError(status, REQUEST_REFUSED, "The request was refused.")


def _from_parameters(error: ValidationException, handler: Any) -> AppError:
    """Name each query or header value that is wrong; a path that no thing can have is a 404."""
    found: list[FieldError] = []
    for entry in error.extra if isinstance(error.extra, list) else ():
        name, source = entry.get("key", ""), entry.get("source")
        if source == "path":
            return NotFound(NOT_FOUND, "There is nothing at this address.")
        if name == "data":
            found.append(FieldError("", "required", "This call needs a body."))
            continue
        public = "" if source == "body" else _public_name(handler, name)
        found.extend(invalid_shape(entry.get("message", ""), public or name).errors)
    if not found:  # Litestar says only in its text which parameter is missing
        parts = error.detail.split("'")
        found.append(FieldError(parts[1] if len(parts) > 1 else "", "required", "This parameter is needed."))
    return Invalid(VALIDATION_FAILED, "Some fields cannot be accepted.", errors=found)


def _public_name(handler: Any, name: str) -> str:
    """The name that a parameter has outside, which differs from the function's where it has a hyphen."""
    signatures = [handler.parsed_fn_signature] if handler else []
    if handler:
        signatures += [provide.parsed_fn_signature for provide in handler.resolve_dependencies().values()]
    for signature in signatures:
        parameter = signature.parameters.get(name)
        if parameter is not None and (outside := getattr(parameter.kwarg_definition, "name", None)):
            return str(outside)
    return name
