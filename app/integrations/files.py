"""Where files are kept: below the data folder, or in a bucket that speaks S3; both through one library."""

from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, S3Store

from app.domain.files.keeping import MOST_BYTES
from app.kit.errors import UNAVAILABLE, Unavailable
from app.settings import Settings

# A shopper waits for it, so not for long.
CONNECT_SECONDS: Final = 2
CALL_SECONDS: Final = 10
RETRY_SECONDS: Final = 2


class ObjectFiles:
    """Implements the domain's FileStore over any store of obstore."""

    def __init__(self, store: LocalStore | S3Store) -> None:
        self._store = store

    async def get(self, key: str, *, most: int = MOST_BYTES) -> bytes | None:
        try:
            found = await self._store.get_async(key)
            if found.meta["size"] > most:
                return None
            return bytes(await found.bytes_async())
        except (FileNotFoundError, NotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise _away() from error

    async def put(self, key: str, content: bytes) -> None:
        try:
            await self._store.put_async(key, content)
        except (BaseError, OSError) as error:
            raise _away() from error


def _away() -> Unavailable:
    return Unavailable(UNAVAILABLE, "The files cannot be reached now.", retry_after=RETRY_SECONDS)


def create_files(settings: Settings) -> ObjectFiles:
    """What STOREFRONT_FILES_URL names. Makes the folder; asks no bucket yet."""
    address = urlsplit(settings.files_url)
    if address.scheme != "s3":
        folder = files_folder(settings)
        folder.mkdir(parents=True, exist_ok=True)
        return ObjectFiles(LocalStore(folder))
    endpoint = settings.s3_endpoint_url
    keys = {}
    if settings.s3_access_key_id:
        keys = {
            "access_key_id": settings.s3_access_key_id,
            "secret_access_key": settings.s3_secret_access_key,
        }
    return ObjectFiles(
        S3Store(
            address.netloc,
            prefix=unquote(address.path).strip("/") or None,
            region=settings.s3_region,
            **({"endpoint": endpoint} if endpoint else {}),  # type: ignore[arg-type]  # keys of a TypedDict
            **keys,  # type: ignore[arg-type]  # as above
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "timeout": timedelta(seconds=CALL_SECONDS),
            },
            retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=CALL_SECONDS)},
        )
    )


def files_folder(settings: Settings) -> Path:
    """The folder of a `file:` address; `files` in the data folder where it names none."""
    path = unquote(urlsplit(settings.files_url).path)
    return Path(path) if path else settings.data_dir / "files"
