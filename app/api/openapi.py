"""What is said about the API: the OpenAPI 3.1 document."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, Schema
from litestar.typing import FieldDefinition

from app.api.docs_page import TITLE, DocsPage, docs_router
from app.api.errors import PROBLEM_JSON
from app.api.openapi_security import SCHEMES, demands_login, requirements
from app.api.rate_limits import LIMIT, RATE_HEADERS
from app.api.request import BODY_ONLY, JSON, MULTIPART, URLENCODED

_PROBLEM = {"$ref": "#/components/responses/Problem"}
_UNAUTHENTICATED = {"$ref": "#/components/responses/Unauthenticated"}
_STORE = {
    "name": "X-Store",
    "in": "header",
    "required": False,
    "description": "The code of the store that is meant, where one installation has several; else its host name says it.",
    "schema": {"type": "string"},
}
_KNOWN_TAG = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the answer that is there already.",
    "schema": {"type": "string"},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeats of a call with its key have one effect; 22 characters or more where nothing says who calls.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
_SURFACE = "/storefront/"
_MAX_BIGINT = 2**63 - 1


# Keys of a handler's `opt` that the document looks at.
EXAMPLE = "example"
QUERY = "query"
KEYED = "keyed"  # takes an Idempotency-Key
READS = "reads"  # the request headers, of _READABLE, that the handler reads by itself
ANSWERS = "answers"  # statuses that the call can answer beside those that every call of its kind has
LOCATED = "located"  # its 204 names an address

X_SESSION = "X-Session"
ACCEPT_LANGUAGE = "Accept-Language"
_READABLE = {
    X_SESSION: (
        "`cookie`: a login, or a guest's new cart, comes in a cookie that pages cannot read; no `auth_key`.",
        "cookie",
    ),
    ACCEPT_LANGUAGE: ("The language of the mails that follow, where the shop has it.", "de-CH, fr;q=0.8"),
}

# The class variable of a Struct of whose fields, by their names outside, at least one is needed.
NEEDS_ONE = "NEEDS_ONE"

RETRY_AFTER = "Retry-After"
LOCATION = "Location"
ETAG = "ETag"
IDEMPOTENCY_REPLAYED = "Idempotency-Replayed"
_TEXT_HEADERS = {
    LOCATION: "The address to go on at.",
    ETAG: "The version of the answer, to ask with If-None-Match whether there is another.",
    IDEMPOTENCY_REPLAYED: "`true` where the Idempotency-Key was used before: this call made nothing new.",
    "WWW-Authenticate": "How a login is shown (RFC 6750).",
}
_MOVED = ("302", "303")


class StrictStructSchema(StructSchemaPlugin):
    """Says `additionalProperties: false` where a Struct refuses unknown fields; Litestar leaves it out.

    A Struct of which one of several fields is needed names them in `NEEDS_ONE`.
    """

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Any:
        schema = super().to_openapi_schema(field_definition, schema_creator)
        config = getattr(field_definition.type_, "__struct_config__", None)
        if config is not None and config.forbid_unknown_fields:
            schema.additional_properties = False
        needed = getattr(field_definition.type_, NEEDS_ONE, ())
        if needed:
            schema.any_of = [Schema(required=[name]) for name in needed]
        return schema


def openapi_config(version: str) -> OpenAPIConfig:
    """What Litestar needs to describe the routes; the rest is added by `finish`."""
    return OpenAPIConfig(
        title=TITLE,
        version=version,
        description=(
            "A headless shop backend. Money is in minor units; errors are RFC 9457 problems, "
            "their codes are listed at /docs/errors."
        ),
        use_handler_docstrings=True,
        components=Components(security_schemes={**SCHEMES}),
        create_examples=False,
        render_plugins=[DocsPage()],
        openapi_router=docs_router(),
    )


def document(app: Litestar) -> dict[str, Any]:
    """The whole document, as it is served."""
    schema = finish(msgspec.to_builtins(app.openapi_schema.to_schema(), str_keys=True))
    handlers = {
        handler.operation_id: handler
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
    }
    for path in schema["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                _tell(operation, handlers[operation["operationId"]])
    return _rename(schema)


def _rename(schema: dict[str, Any]) -> dict[str, Any]:
    """Give the generic pages names that a generated client can bear: PageOfStorefrontProduct."""
    names = {
        name: f"PageOf{name.removesuffix('_').rpartition('.')[2]}"
        for name in schema["components"]["schemas"]
        if name.startswith("PageAnswer_")
    }
    raw = msgspec.json.encode(schema).decode()
    for name, short in names.items():
        raw = raw.replace(json.dumps(name), json.dumps(short)).replace(f"schemas/{name}", f"schemas/{short}")
    renamed: dict[str, Any] = msgspec.json.decode(raw)
    return renamed


def _tell(operation: dict[str, Any], handler: Any) -> None:
    """Add what the handler asks for (who calls) and what its `opt` says."""
    opt: Mapping[str, Any] = handler.opt
    responses: dict[str, Any] = operation["responses"]
    parameters: list[dict[str, Any]] = operation.setdefault("parameters", [])
    operation["security"] = requirements(handler)
    if demands_login(handler):
        responses["401"] = _UNAUTHENTICATED
    for status in opt.get(ANSWERS, ()):
        responses.setdefault(str(status), _UNAUTHENTICATED if status == HTTPStatus.UNAUTHORIZED else _PROBLEM)
    if QUERY in opt:
        _, described = msgspec.json.schema_components([opt[QUERY]], ref_template="{name}")
        shape = described[opt[QUERY].__name__]
        secret = getattr(opt[QUERY], BODY_ONLY, ())
        parameters.extend(
            {"name": name, "in": "query", "required": name in shape["required"], "schema": schema}
            for name, schema in shape["properties"].items()
            if name not in secret
        )
        if secret:
            kinds = (JSON, URLENCODED, MULTIPART)
            operation["requestBody"] = {"content": {kind: {"schema": shape} for kind in kinds}}
            for status in ("400", "413", "415", "422"):
                responses.setdefault(status, _PROBLEM)
    if EXAMPLE in opt:
        for content in operation["requestBody"]["content"].values():
            content["example"] = opt[EXAMPLE]
    parameters.extend(_readable(name) for name in opt.get(READS, ()))
    if KEYED in opt:
        parameters.append(_IDEMPOTENCY_KEY)
        responses.setdefault("409", _PROBLEM)
    if LIMIT in opt:
        _tell_limit(responses)
    _tell_headers(responses, opt)


def _readable(name: str) -> dict[str, Any]:
    description, example = _READABLE[name]
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


def _tell_headers(responses: dict[str, Any], opt: Mapping[str, Any]) -> None:
    """The headers that answers have beside those of the limits."""
    for status, response in responses.items():
        names = []
        if status in _MOVED or (status == "204" and LOCATED in opt):
            names.append(LOCATION)
        if status == "202":
            names.append(RETRY_AFTER)
        if status.startswith("2") and "304" in responses:
            names.append(ETAG)
        if status.startswith("2") and KEYED in opt:
            names.append(IDEMPOTENCY_REPLAYED)
        if names:
            response.setdefault("headers", {}).update({name: _header(name) for name in names})


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _tell_limit(responses: dict[str, Any]) -> None:
    """The headers on what succeeds, and the refusal. Installations may switch limits off: no header is promised."""
    for status, response in responses.items():
        if status.startswith(("2", "3")):
            response.setdefault("headers", {}).update({name: _header(name) for name in RATE_HEADERS})
    responses["429"] = {"$ref": "#/components/responses/RateLimited"}


def finish(schema: dict[str, Any]) -> dict[str, Any]:
    """Add what holds for every route: three body types, and problems as the answer to what goes wrong."""
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _problem_schema()
    components.setdefault("responses", {})["Problem"] = {
        "description": "What went wrong, in the form of RFC 9457.",
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    components.setdefault("headers", {}).update(
        {
            name: {"description": meaning, "schema": {"type": "integer", "minimum": 0}}
            for name, meaning in (
                RATE_HEADERS | {RETRY_AFTER: "Seconds until the call can be repeated."}
            ).items()
        }
    )
    components["headers"].update(
        {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in _TEXT_HEADERS.items()
        }
    )
    components["responses"]["Unauthenticated"] = {
        **components["responses"]["Problem"],
        "description": "Nobody is logged in (`login_required`), or the login was refused (`login_failed`).",
        "headers": {"WWW-Authenticate": _header("WWW-Authenticate")},
    }
    components["responses"]["RateLimited"] = {
        **components["responses"]["Problem"],
        "description": "Too many calls of this kind from one address.",
        "headers": {name: _header(name) for name in (*RATE_HEADERS, RETRY_AFTER)},
    }
    for address, path in schema.get("paths", {}).items():
        for operation in path.values():
            if isinstance(operation, dict) and "responses" in operation:
                if address.startswith(_SURFACE):
                    operation.setdefault("parameters", []).append(_STORE)
                _finish_operation(operation)
    for component in components["schemas"].values():
        if component.get("additionalProperties") is False:
            _take_numbers_for_booleans(component)
    _bound_exactly(schema)
    return schema


def _finish_operation(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    # Litestar promises its own 400 wherever something is validated; ours are problems.
    responses.pop("400", None)
    # It describes a body for every Response object, and 204 never has one.
    responses.get("204", {}).pop("content", None)
    for response in responses.values():
        if not response.get("headers", True):
            del response["headers"]
    if "204" in responses:  # which is what a handler's None stands for
        for content in _contents(responses):
            content["schema"] = _without_null(content["schema"])
    parameters = operation.get("parameters", ())
    told = [status for status, place in (("404", "path"), ("422", "query")) if _has(parameters, place)]
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        told += ["400", "413", "415", "422"]
    if JSON in content:
        for kind in (URLENCODED, MULTIPART):
            content.setdefault(kind, content[JSON])
    if "304" in responses:
        operation.setdefault("parameters", []).append(_KNOWN_TAG)
    for status in (*told, "4XX", "503"):
        responses.setdefault(status, _PROBLEM)


def _contents(responses: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [content for response in responses.values() for content in response.get("content", {}).values()]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("oneOf", ()) if kind != {"type": "null"}]
    only: dict[str, Any] = kinds[0] if len(kinds) == 1 else schema
    return only


def _has(parameters: Iterable[dict[str, Any]], place: str) -> bool:
    return any(parameter["in"] == place for parameter in parameters)


def _take_numbers_for_booleans(body: dict[str, Any]) -> None:
    """Say that a boolean that is sent may also be 1 or 0; answers have true and false only."""
    for field in body.get("properties", {}).values():
        for choice in (field, *field.get("oneOf", ())):
            if choice.get("type") == "boolean":
                choice |= {"type": ["boolean", "integer"], "enum": [True, False, 1, 0]}


def _bound_exactly(node: Any) -> None:
    """Write bounds as the whole numbers they are: as floats, 2^63 - 1 would read as 2^63."""
    if isinstance(node, list):
        for entry in node:
            _bound_exactly(entry)
    elif isinstance(node, dict):
        for name in ("minimum", "maximum"):
            bound = node.get(name)
            if isinstance(bound, float) and bound.is_integer():
                node[name] = min(int(bound), _MAX_BIGINT)
        for entry in node.values():
            _bound_exactly(entry)


def _problem_schema() -> dict[str, Any]:
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
        },
        "examples": [
            {
                "type": "/docs/errors#validation_failed",
                "title": "Validation failed",
                "status": 422,
                "detail": "Some fields cannot be accepted.",
                "code": "validation_failed",
                "request_id": "5f0c3d8a90b1c2d3e4f50617",
                "errors": [{"field": "quantity", "code": "too_small", "message": "Must be at least 1."}],
            }
        ],
    }


def openapi_handler() -> Any:
    """GET /openapi.json, made at the first request and kept."""
    made: list[bytes] = []

    @get("/openapi.json", include_in_schema=False, sync_to_thread=False)
    def openapi_json(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not made:
            made.append(msgspec.json.encode(document(request.app)))
        return Response(
            made[0], media_type="application/vnd.oai.openapi+json", headers={"Cache-Control": "no-cache"}
        )

    return openapi_json
