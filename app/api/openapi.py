"""What is said about the API: the OpenAPI 3.1 document."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, Schema, Tag
from litestar.typing import FieldDefinition

from app.api.docs_page import TITLE, DocsPage, docs_router
from app.api.openapi_problems import (
    RETRY_AFTER,
    header_reference,
    problem_reference,
    problem_responses,
    problem_schema,
)
from app.api.openapi_security import SCHEMES, demands_login, requirements
from app.api.openapi_shapes import say_shapes
from app.api.openapi_units import say_units
from app.api.rate_limits import LIMIT, RATE_HEADERS
from app.api.request import BODY_ONLY, JSON, MULTIPART, URLENCODED

_ABOUT = """A shop without pages of its own: catalogue, search, cart, checkout, payment, orders and accounts.

- **Bodies** are JSON or forms. Unknown fields are refused. Money is in minor units; times are ISO 8601, or Unix seconds
  where they are numbers.
- **Guests** need no login: `cart_uuid` opens a cart, `checkout_token` a checkout and its order. Customers send the
  `auth_key` of their login as a bearer (*Authorize* here), or a cookie.
- **Lists** have pages: `page` counts from 1, and `offset` is the size of a page. `_meta.totalCount` is exact; a
  search that fits more than it looks at shows those that fit best, and says `_meta.totalIsMinimum`.
- **What goes wrong** is a problem (RFC 9457) with a stable `code`: [all of them](/docs/errors). A 422 names every
  field that is at fault. `X-Request-Id` is on each answer, and may be sent along.
- **Repeats**: the same `Idempotency-Key` with the same body makes nothing twice."""
_CHAPTERS = {
    "Catalogue": "Products, variants, collections, categories and search. Open to everybody, and cached by `ETag`.",
    "Cart": "A cart belongs to whoever knows its uuid, or to a customer.",
    "Checkout": "From a cart to a placed order.",
    "Orders": "To those who placed them.",
    "Account": "Signing up, logging in, and everything that has to do with proving who one is.",
    "Customer": "Addresses and invitations of whoever is logged in.",
    "Newsletter": "Subscriptions.",
    "Settings": "What a shop page needs to know first.",
    "Webhooks": "Called by payment services.",
    "Service": "Whether the shop is alive.",
}
_EXAMPLES = Path(__file__).with_name("examples.json")
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

# In the state of the application: what to add to the description of some calls, by operation.
NOTES_KEY = "document_notes"

# The class variable of a Struct of whose fields, by their names outside, at least one is needed.
NEEDS_ONE = "NEEDS_ONE"

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

    A Struct of which one of several fields is needed names them in `NEEDS_ONE`. What its docstring says is said
    of the shape.
    """

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Any:
        schema = super().to_openapi_schema(field_definition, schema_creator)
        config = getattr(field_definition.type_, "__struct_config__", None)
        if config is not None and config.forbid_unknown_fields:
            schema.additional_properties = False
        if field_definition.type_.__doc__:
            schema.description = cleandoc(field_definition.type_.__doc__)
        needed = getattr(field_definition.type_, NEEDS_ONE, ())
        if needed:
            schema.any_of = [Schema(required=[name]) for name in needed]
        return schema


def openapi_config(version: str) -> OpenAPIConfig:
    """What Litestar needs to describe the routes; the rest is added by `finish`."""
    return OpenAPIConfig(
        title=TITLE,
        version=version,
        description=_ABOUT,
        tags=[Tag(name, description) for name, description in _CHAPTERS.items()],
        use_handler_docstrings=True,
        components=Components(security_schemes={**SCHEMES}),
        create_examples=False,
        render_plugins=[DocsPage()],
        openapi_router=docs_router(),
    )


def document(app: Litestar) -> dict[str, Any]:
    """The whole document, as it is served."""
    schema = finish(msgspec.to_builtins(app.openapi_schema.to_schema(), str_keys=True))
    shown, by_shape = _examples(schema["paths"])
    notes: Mapping[str, str] = app.state.get(NOTES_KEY, {})
    handlers = {
        handler.operation_id: handler
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
    }
    for path in schema["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                name = operation["operationId"]
                if name in handlers:  # any other has an id that Litestar made, and no `opt` of ours
                    _tell(operation, handlers[name])
                _show(operation, shown, by_shape)
                if name in notes:
                    operation["description"] = f"{operation['description']}\n\n{notes[name]}"
    return _rename(schema)


def _examples(paths: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Answers of a demo shop by operation (tests/contract/examples.py wrote them down), and by shape."""
    shown: dict[str, Any] = msgspec.json.decode(_EXAMPLES.read_bytes())
    by_shape = {
        _shape(content): shown[operation["operationId"]]
        for path in paths.values()
        for operation in path.values()
        if isinstance(operation, dict) and operation.get("operationId") in shown
        for content in _successes(operation)
    }
    return shown, by_shape


def _show(operation: dict[str, Any], shown: dict[str, Any], by_shape: dict[str, Any]) -> None:
    """Give the main answer its example, else that of another call which answers the same shape."""
    for content in _successes(operation):
        example = shown.get(operation["operationId"], by_shape.get(_shape(content)))
        if example is not None:
            content["example"] = example


def _successes(operation: dict[str, Any]) -> list[dict[str, Any]]:
    succeeded = {status: one for status, one in operation["responses"].items() if status.startswith("2")}
    return _contents(succeeded)


def _shape(content: dict[str, Any]) -> str:
    return json.dumps(content["schema"])


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
        responses["401"] = problem_reference("401")
    for status in opt.get(ANSWERS, ()):
        responses.setdefault(str(status), problem_reference(str(status)))
    if QUERY in opt:
        _tell_query(operation, opt[QUERY])
    if EXAMPLE in opt:
        for content in operation["requestBody"]["content"].values():
            content["example"] = opt[EXAMPLE]
    parameters.extend(_readable(name) for name in opt.get(READS, ()))
    parameters.extend(opt.get(PARAMETERS, ()))
    if KEYED in opt:
        parameters.append(_IDEMPOTENCY_KEY)
        responses.setdefault("409", problem_reference("409"))
    if LIMIT in opt:
        _tell_limit(responses)
    _tell_headers(responses, opt)


def _tell_query(operation: dict[str, Any], query: type[msgspec.Struct]) -> None:
    """The parameters of a query that the handler reads by itself; what only a body may have makes one."""
    _, described = msgspec.json.schema_components([query], ref_template="{name}")
    shape = described[query.__name__]
    secret = getattr(query, BODY_ONLY, ())
    operation["parameters"].extend(
        {"name": name, "in": "query", "required": name in shape["required"], "schema": schema}
        for name, schema in shape["properties"].items()
        if name not in secret
    )
    if secret:
        kinds = (JSON, URLENCODED, MULTIPART)
        operation["requestBody"] = {"content": {kind: {"schema": shape} for kind in kinds}}
        for status in ("400", "413", "415", "422"):
            operation["responses"].setdefault(status, problem_reference(status))


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
            response.setdefault("headers", {}).update({name: header_reference(name) for name in names})


def _tell_limit(responses: dict[str, Any]) -> None:
    """The headers on what succeeds, and the refusal. Installations may switch limits off: no header is promised."""
    for status, response in responses.items():
        if status.startswith(("2", "3")):
            response.setdefault("headers", {}).update({name: header_reference(name) for name in RATE_HEADERS})
    responses["429"] = problem_reference("429")


def finish(schema: dict[str, Any]) -> dict[str, Any]:
    """Add what holds for every route: three body types, and problems as the answer to what goes wrong."""
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = problem_schema()
    components.setdefault("responses", {}).update(problem_responses())
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
    for address, path in schema.get("paths", {}).items():
        for operation in path.values():
            if isinstance(operation, dict) and "responses" in operation:
                if address.startswith(_SURFACE):
                    operation.setdefault("parameters", []).append(_STORE)
                _finish_operation(operation)
    for component in components["schemas"].values():
        if component.get("additionalProperties") is False:
            _take_numbers_for_booleans(component)
    say_shapes(components["schemas"])
    say_units(components["schemas"])
    _bound_exactly(schema)
    return schema


def _finish_operation(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    # Litestar promises its own 400 wherever something is validated; ours are problems.
    responses.pop("400", None)
    _describe_answers(operation)
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
        responses.setdefault(status, problem_reference(status))


def _describe_answers(operation: dict[str, Any]) -> None:
    """Say of what succeeds what Litestar can't know, and take back what it makes up."""
    responses = operation["responses"]
    for status in ("200", "201"):
        if responses.get(status, {}).get("description") == HTTPStatus(int(status)).description:
            responses[status]["description"] = f"{operation['summary']}."
    # It describes a body for every Response object, and 204 never has one.
    responses.get("204", {}).pop("content", None)
    for response in responses.values():
        if not response.get("headers", True):
            del response["headers"]
    if "204" in responses:  # which is what a handler's None stands for
        for content in _contents(responses):
            content["schema"] = _without_null(content["schema"])


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
