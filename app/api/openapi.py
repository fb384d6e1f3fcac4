"""What is said about the API: the OpenAPI 3.1 document, the page that shows it, the page of error codes."""

import html
import json
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import openapi_ui_bundles.swagger_ui
from litestar import Litestar, Request, Response, Router, get
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, Schema, SecurityScheme
from litestar.params import FromPath
from litestar.typing import FieldDefinition

from app.api.errors import PROBLEM_JSON, STATUSES
from app.api.rate_limits import LIMIT, RATE_HEADERS
from app.api.request import JSON, MULTIPART, URLENCODED
from app.kit.errors import Code, declared_codes

TITLE = "Storefront"
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-standalone-preset.js": "text/javascript",
}
_FAVICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" '
    b'fill="#1f5f4a"/><path d="M7 13h18l-2 12H9z" fill="#f4efe6"/><path d="M12 13a4 4 0 0 1 8 0" '
    b'fill="none" stroke="#f4efe6" stroke-width="2.4"/></svg>'
)
_START = b"""window.addEventListener("load", () => {
  SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    presets: [SwaggerUIBundle.presets.apis],
  });
});
"""
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{TITLE}: the API</title>
<link rel="icon" type="image/svg+xml" href="/docs/assets/favicon.svg">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/start.js"></script>
</head>
<body><div id="docs"></div></body>
</html>
"""


_PROBLEM = {"$ref": "#/components/responses/Problem"}
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
PARAMETERS = "parameters"  # of a query that no Struct describes, as the document has them
KEYED = "keyed"  # takes an Idempotency-Key

# The class variable of a Struct of whose fields, by their names outside, at least one is needed.
NEEDS_ONE = "NEEDS_ONE"

RETRY_AFTER = "Retry-After"


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


class DocsPage(OpenAPIRenderPlugin):
    """The page at /docs: Swagger UI from our own assets, so that it works without internet."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002 - the page fetches the document itself
        return _PAGE.encode()


async def _refuse_unknown_page(response: Response[Any]) -> Response[Any]:
    """Litestar answers for pages that there are not with one of its own; ours are problems as everywhere."""
    if response.status_code == HTTPStatus.NOT_FOUND:
        raise NotFoundException
    return response


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
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", description="The `auth_key` of a login."
                ),
            }
        ),
        render_plugins=[DocsPage()],
        openapi_router=Router(
            "/docs",
            route_handlers=[error_page, asset],
            include_in_schema=False,
            after_request=_refuse_unknown_page,
            response_headers={"Content-Security-Policy": DOCS_POLICY, "Cache-Control": "no-cache"},
        ),
    )


def document(app: Litestar) -> dict[str, Any]:
    """The whole document, as it is served."""
    schema = finish(msgspec.to_builtins(app.openapi_schema.to_schema(), str_keys=True))
    told = {
        handler.operation_id: handler.opt
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if not {EXAMPLE, QUERY, PARAMETERS, KEYED, LIMIT}.isdisjoint(handler.opt)
    }
    for path in schema["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                _tell(operation, told.get(operation.get("operationId"), {}))
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


def _tell(operation: dict[str, Any], opt: Mapping[str, Any]) -> None:
    """Add what a handler's `opt` says: an example of its body, a query that it reads by itself, its limit."""
    if EXAMPLE in opt:
        for content in operation["requestBody"]["content"].values():
            content["example"] = opt[EXAMPLE]
    if QUERY in opt:
        _, described = msgspec.json.schema_components([opt[QUERY]], ref_template="{name}")
        shape = described[opt[QUERY].__name__]
        operation.setdefault("parameters", []).extend(
            {"name": name, "in": "query", "required": name in shape["required"], "schema": schema}
            for name, schema in shape["properties"].items()
        )
    if PARAMETERS in opt:
        operation.setdefault("parameters", []).extend(opt[PARAMETERS])
    if KEYED in opt:
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
        operation["responses"].setdefault("409", _PROBLEM)
    if LIMIT in opt:
        _tell_limit(operation["responses"])


def _tell_limit(responses: dict[str, Any]) -> None:
    """The headers on what succeeds, and the refusal. Installations may switch limits off: no header is promised."""
    for status, response in responses.items():
        if status.startswith(("2", "3")):
            response.setdefault("headers", {}).update(
                {name: {"$ref": f"#/components/headers/{name}"} for name in RATE_HEADERS}
            )
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
    components["responses"]["RateLimited"] = {
        **components["responses"]["Problem"],
        "description": "Too many calls of this kind from one address.",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in (*RATE_HEADERS, RETRY_AFTER)},
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


@get("/assets/{name:str}", sync_to_thread=False)
def asset(name: FromPath[str]) -> Response[bytes]:
    """What the page at /docs is made of."""
    if name == "start.js":
        return Response(_START, media_type="text/javascript")
    if name == "favicon.svg":
        return Response(_FAVICON, media_type="image/svg+xml")
    if name not in _ASSETS:
        raise NotFoundException
    return Response(_asset_bytes(name), media_type=_ASSETS[name])


@cache
def _asset_bytes(name: str) -> bytes:
    return (Path(openapi_ui_bundles.swagger_ui.static_path) / name).read_bytes()


@get("/errors", media_type="text/html", sync_to_thread=False)
def error_page() -> Response[bytes]:
    """Every code that an answer can carry, at the address that `type` points to."""
    rows = "\n".join(
        f'<dt id="{html.escape(entry.code)}"><code>{html.escape(entry.code)}</code> {_status_of(entry)}</dt>'
        f"<dd>{html.escape(entry.meaning)}</dd>"
        for entry in declared_codes()
    )
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{TITLE}: error codes</title>'
        '<link rel="icon" type="image/svg+xml" href="/docs/assets/favicon.svg"></head>'
        f"<body><h1>Error codes</h1><dl>{rows}</dl></body></html>"
    )
    return Response(page.encode(), media_type="text/html")


def error_codes_markdown() -> str:
    """The text of docs/errors.md, made from the declared codes."""
    lines = [
        "# Error codes",
        "",
        "Every error is an RFC 9457 problem with a stable `code`. This page is made from the code.",
        "",
        "| code | status | meaning |",
        "|---|---|---|",
        *(f"| `{entry.code}` | {_status_of(entry)} | {entry.meaning} |" for entry in declared_codes()),
    ]
    return "\n".join(lines) + "\n"


def _status_of(entry: Code) -> str:
    for kind, status in STATUSES.items():
        if issubclass(entry.kind, kind):
            return str(status)
    # A fault of the HTTP message names its status in its own meaning.
    found = entry.meaning.partition(":")[0]
    return found if found.isdigit() else "4xx"
