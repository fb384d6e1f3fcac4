"""What people read of the API: the page at /docs with its assets, and the page of error codes."""

import html
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import openapi_ui_bundles.swagger_ui
from litestar import Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath

from app.api.errors import STATUSES
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


def docs_router() -> Router:
    """What there is under /docs beside the page itself."""
    return Router(
        "/docs",
        route_handlers=[error_page, asset],
        include_in_schema=False,
        after_request=_refuse_unknown_page,
        response_headers={"Content-Security-Policy": DOCS_POLICY, "Cache-Control": "no-cache"},
    )


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
