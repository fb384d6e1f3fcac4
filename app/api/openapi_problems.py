"""What the document says of answers to what goes wrong: one for each status, with an example of its own."""

from typing import Any, Final

from app.api.errors import PROBLEM_JSON
from app.api.rate_limits import RATE_HEADERS

RETRY_AFTER: Final = "Retry-After"

# By status: the name of the answer, what it means, and the code and the detail of its example.
_PROBLEMS: Final = {
    "400": ("Unreadable", "What was sent cannot be read.", "malformed_body", "The body is not valid JSON."),
    "401": (
        "Unauthenticated",
        "Nobody is logged in (`login_required`), or the login was refused (`login_failed`).",
        "login_required",
        "This call needs a login.",
    ),
    "402": (
        "NotPaid",
        "The payment was declined, or needs a step by the shopper; what the page needs stands beside the code.",
        "payment_declined",
        "The payment was declined.",
    ),
    "404": (
        "NotFound",
        "There is no such thing, or it is somebody else's.",
        "not_found",
        "There is nothing here, or it belongs to somebody else.",
    ),
    "409": (
        "MovedOn",
        "The state of things has moved on; read it again. Or an Idempotency-Key came with another body.",
        "conflict",
        "Another request changed the same thing first; read it again.",
    ),
    "413": ("TooLarge", "JSON and forms may have 256 KB.", "body_too_large", "The body is too large."),
    "415": (
        "UnknownKind",
        "The body must be JSON, an urlencoded form or a multipart form.",
        "unsupported_media_type",
        "The body must be JSON, an urlencoded form or a multipart form.",
    ),
    "422": (
        "Refused",
        "Some fields cannot be accepted; `errors` names them all, twenty at most.",
        "validation_failed",
        "Some fields cannot be accepted.",
    ),
    "429": (
        "RateLimited",
        "Too many calls of this kind from one address.",
        "rate_limited",
        "Too many calls; try again in 12 s.",
    ),
    "503": (
        "Unavailable",
        "Something that the shop depends on is away; the same call can be repeated.",
        "unavailable",
        "The shop cannot answer this right now; please repeat in a moment.",
    ),
    "4XX": (
        "Problem",
        "Whatever else went wrong, in the form of RFC 9457.",
        "forbidden",
        "You may not do this.",
    ),
}
_HEADERS: Final = {
    "401": ("WWW-Authenticate",),
    "429": (*RATE_HEADERS, RETRY_AFTER),
    "503": (RETRY_AFTER,),
}
_FAULTS: Final = [{"field": "quantity", "code": "too_small", "message": "Must be at least 1."}]


def problem_reference(status: str) -> dict[str, str]:
    name, *_ = _PROBLEMS.get(status, _PROBLEMS["4XX"])
    return {"$ref": f"#/components/responses/{name}"}


def header_reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def problem_responses() -> dict[str, Any]:
    """The answers that `problem_reference` names."""
    return {name: _response(status) for status, (name, *_) in _PROBLEMS.items()}


def _response(status: str) -> dict[str, Any]:
    _, description, code, detail = _PROBLEMS[status]
    example = {
        "type": f"/docs/errors#{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": int(status.replace("4XX", "403")),
        "detail": detail,
        "code": code,
        "request_id": "5f0c3d8a90b1c2d3e4f50617",
    }
    if status == "422":
        example["errors"] = _FAULTS
    answer: dict[str, Any] = {
        "description": description,
        "content": {
            PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example},
        },
    }
    if status in _HEADERS:
        answer["headers"] = {name: header_reference(name) for name in _HEADERS[status]}
    return answer


def _line_schema(**more: Any) -> dict[str, Any]:
    number = {"type": "integer"}
    properties = {"variant_id": number, **more}
    return {"type": "object", "required": list(properties), "properties": properties}


def _quote_properties() -> dict[str, Any]:
    """What a 409 of a checkout says of the price as it is now: nothing moves before the page has shown that."""
    number, text = {"type": "integer"}, {"type": "string"}
    totals = ("items", "discount", "shipping", "tax", "total", "gift_card", "store_credit", "due")
    codes = ["added", "removed", "price_changed", "quantity_changed"]
    return {
        "totals": {
            "type": "object",
            "required": list(totals),
            "properties": dict.fromkeys(totals, number),
            "description": "With `total_changed`: what it costs now, in minor units.",
        },
        "currency": text,
        "lines": {
            "type": "array",
            "items": _line_schema(
                title=text,
                **dict.fromkeys(("quantity", "price", "line_price", "total_discount", "tax"), number),
                gift={"type": "boolean"},
            ),
            "description": "With `total_changed` and `out_of_stock`: the lines as they are now.",
        },
        "changes": {
            "type": "array",
            "items": _line_schema(code={"type": "string", "enum": codes}, was=number, now=number),
            "description": "Beside `lines`: how they differ from the last answer of a call that changed the checkout.",
        },
    }


def problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    fault = {
        "type": "object",
        "required": ["field", "code", "message"],
        "properties": {"field": text, "code": text, "message": text},
    }
    return {
        "title": "Problem",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": text,
            "code": {"type": "string", "description": "A stable word; /docs/errors lists them all."},
            "request_id": text,
            "errors": {"type": "array", "items": fault, "description": "With 422: which fields, and why."},
            **_quote_properties(),
        },
    }
