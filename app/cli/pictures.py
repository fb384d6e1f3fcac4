"""How picture files come into a shop: cleaned, kept under their signed name, and known by their address."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from app.domain.files.keeping import MOST_BYTES, FileStore
from app.domain.files.names import name_picture
from app.integrations.pictures import CleanPicture, clean_picture
from app.kit.errors import Invalid
from app.settings import Settings

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})


class Kept(msgspec.Struct, frozen=True):
    """What became of a file: its address, or why it has none."""

    path: Path
    address: str = ""
    fault: str = ""


def find_pictures(paths: tuple[Path, ...]) -> Iterator[Path]:
    """The files as named, and the picture files of folders that are named."""
    for path in paths:
        if path.is_dir():
            yield from sorted(
                one for one in path.rglob("*") if one.is_file() and one.suffix.lower() in SUFFIXES
            )
        else:
            yield path


async def keep_picture(settings: Settings, files: FileStore, path: Path) -> Kept:
    """Keep one file; the same bytes have the same address, so that it can be repeated."""
    try:
        clean = await asyncio.to_thread(_read, path)
    except Invalid as refused:
        return Kept(path, fault=refused.message)
    except OSError as error:
        return Kept(path, fault=error.strerror or "it cannot be read")
    name = name_picture(
        clean.content, width=clean.width, height=clean.height, kind=clean.kind, secret=settings.secret_key
    )
    await files.put(name.key, clean.content)
    return Kept(path, address=f"{settings.public_url}/files/{name}")


def _read(path: Path) -> CleanPicture:
    with path.open("rb") as file:
        return clean_picture(file.read(MOST_BYTES + 1))
