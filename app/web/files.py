"""Which files the development page is made of, and under which policy a browser runs them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, get
from litestar.params import FromPath

from app.api.caching import matches, tag_of
from app.kit.errors import NOT_FOUND, NotFound

STATIC: Final = Path(__file__).parent / "static"
PICTURES: Final = Path(__file__).parents[2] / "fixtures" / "images"

MEDIA_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

# Nothing inline, nothing from elsewhere: what a product's text or a mail smuggles in has no power here.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# An SVG that is opened by itself is a document: it may style itself and do nothing else.
PICTURE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


def find_files(folder: Path) -> Mapping[str, Path]:
    """Every file below a folder that we serve, by its path there; what is not listed cannot be asked for."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in MEDIA_TYPES
    }


def send_file(request: Request[Any, Any, Any], path: Path | None) -> Response[bytes]:
    """The file as it is now, or 304 for whoever has it; an edit shows with the next reload."""
    if path is None or not path.is_file():
        raise NotFound(NOT_FOUND, "There is nothing at this address.")
    content = path.read_bytes()
    tag = tag_of(content)
    headers = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": PICTURE_POLICY if path.suffix == ".svg" else PAGE_POLICY,
    }
    if matches(request.headers.get("if-none-match", ""), tag):
        return Response(b"", status_code=304, headers=headers, media_type=MEDIA_TYPES[path.suffix])
    return Response(content, headers=headers, media_type=MEDIA_TYPES[path.suffix])


def file_handlers(static: Path = STATIC, pictures: Path = PICTURES) -> list[Any]:
    files, images = find_files(static), find_files(pictures)

    @get("/", include_in_schema=False, sync_to_thread=True)
    def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        return send_file(request, files["index.html"])

    @get("/web/{name:path}", include_in_schema=False, sync_to_thread=True)
    def page_file(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        return send_file(request, files.get(name.lstrip("/")))

    @get("/demo/images/{name:str}", include_in_schema=False, sync_to_thread=True)
    def picture(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        return send_file(request, images.get(name))

    return [page, page_file, picture]
