"""Pictures of the shop's own: as they are kept, and in the sizes that their names allow."""

from typing import Annotated, Any, Final

from litestar import Request, Response, get
from litestar.params import FromPath, QueryParameter

from app.api.caching import matches
from app.domain.files.keeping import FileStore
from app.domain.files.names import WIDTHS, Kind, PictureName, read_name
from app.integrations.picture_sizes import PictureSizes
from app.integrations.pictures import MEDIA_TYPES
from app.kit.errors import NOT_FOUND, VALIDATION_FAILED, Invalid, NotFound
from app.settings import Settings

# An address never changes its content.
FOREVER: Final = "public, max-age=31536000, immutable"
POLICY: Final = "default-src 'none'; sandbox"
FORMATS: Final[dict[str, Kind]] = {"jpeg": "jpg", "png": "png", "webp": "webp"}


def picture_handlers(settings: Settings, files: FileStore, sizes: PictureSizes) -> list[Any]:
    """Their addresses stand in answers, so the document of the API has them not as calls."""

    @get("/files/{name:str}", include_in_schema=False)
    async def original(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        found = _read(name)
        tag = f'"{found.digest}"'
        if matches(request.headers.get("if-none-match", ""), tag):
            return _answer(b"", found.kind, tag, status=304)
        content = await files.get(found.key)
        if content is None:
            raise _nothing()
        return _answer(content, found.kind, tag)

    @get("/images/{width:str}/{name:str}", include_in_schema=False)
    async def sized(
        request: Request[Any, Any, Any],
        width: FromPath[str],
        name: FromPath[str],
        form: Annotated[str | None, QueryParameter(name="format", max_length=10)] = None,
    ) -> Response[bytes]:
        """WebP for whoever reads it, else the kind that it is kept as; `format` asks for one kind."""
        found = _read(name)
        wanted = next((one for one in WIDTHS if str(one) == width), None)
        if wanted is None or not found.is_signed(settings.secret_keys):
            raise _nothing()
        kind = _kind(form) if form is not None else _negotiate(request, found)
        tag = f'"{found.digest}-{wanted}-{kind}"'
        vary = form is None
        if matches(request.headers.get("if-none-match", ""), tag):
            return _answer(b"", kind, tag, status=304, vary=vary)
        content = await sizes.find(found, wanted, kind)
        if content is None:
            raise _nothing()
        return _answer(content, kind, tag, vary=vary)

    return [original, sized]


def _read(name: str) -> PictureName:
    found = read_name(name)
    if found is None:
        raise _nothing()
    return found


def _nothing() -> NotFound:
    return NotFound(NOT_FOUND, "There is nothing at this address.")


def _kind(form: str) -> Kind:
    if form not in FORMATS:
        raise Invalid.at("format", VALIDATION_FAILED, f"A format is one of {', '.join(FORMATS)}.")
    return FORMATS[form]


def _negotiate(request: Request[Any, Any, Any], name: PictureName) -> Kind:
    # Browsers name image/webp where they read it. `*/*` alone says nothing of it, and JPEG and PNG everybody reads.
    accepted = request.headers.get("accept", "")
    for part in accepted.split(","):
        kind, _, parameters = part.partition(";")
        if kind.strip().lower() == "image/webp" and parameters.replace(" ", "") not in ("q=0", "q=0.0"):
            return "webp"
    return "jpg" if name.kind == "webp" else name.kind


def _answer(
    content: bytes, kind: Kind, tag: str, *, status: int = 200, vary: bool = False
) -> Response[bytes]:
    headers = {"ETag": tag, "Cache-Control": FOREVER, "Content-Security-Policy": POLICY}
    if vary:
        headers["Vary"] = "Accept"
    return Response(content, status_code=status, headers=headers, media_type=MEDIA_TYPES[kind])
