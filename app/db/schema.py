"""Whether the schema is the one that this code was written for. What moves it is in db/migrations.py."""

import functools
import os
import re
from pathlib import Path
from typing import Final

from app.db.reads import Reads

_OWN: Final = re.compile(r'^revision\b.*= "(\w+)"', re.MULTILINE)
_BELOW: Final = re.compile(r'^down_revision\b.*= "(\w+)"', re.MULTILINE)


class SchemaNotCurrent(Exception):  # noqa: N818 - a state, said as one
    """The database is at another revision than the code, or than what was asked of it; or the code's is not known."""


def migrations_folder() -> Path:
    """The folder named by STOREFRONT_MIGRATIONS, else the one beside the package."""
    named = os.environ.get("STOREFRONT_MIGRATIONS", "").strip()
    return Path(named) if named else Path(__file__).resolve().parents[2] / "migrations"


@functools.cache
def head_revision() -> str:
    """The revision that no other builds on: the one that this code was written for. Raises SchemaNotCurrent.

    Read from the text of the files: Alembic would run each of them, and takes 7 MB in every server process.
    """
    folder = migrations_folder() / "versions"
    texts = [file.read_text("utf-8") for file in folder.glob("*.py")]
    heads: set[str] = {name for text in texts for name in _OWN.findall(text)}
    heads.difference_update(name for text in texts for name in _BELOW.findall(text))
    if len(heads) != 1:
        raise SchemaNotCurrent(
            f"{folder} ends in {', '.join(sorted(heads)) or 'no revision'}: set STOREFRONT_MIGRATIONS to the "
            "folder of this version's migrations"
        )
    return heads.pop()


async def check_migrations(reads: Reads) -> None:
    """Raises SchemaNotCurrent, or what the database says where nothing was ever migrated."""
    current = await reads.fetchval("SELECT version_num FROM alembic_version")
    if current != head_revision():
        raise SchemaNotCurrent(f"the schema is at {current}, the code at {head_revision()}")
