"""`storefront files add`: pictures into the shop's own store, with the address of each."""

import asyncio
from pathlib import Path
from typing import Final

import click

from app.cli.environment import found_settings, production_checked_settings
from app.cli.pictures import find_pictures, keep_picture
from app.integrations.files import create_files
from app.settings import Settings

SOME_LEFT_OUT: Final = 1


@click.group()
def command() -> None:
    """Keep pictures in the shop's own store."""


@command.command()
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE_OR_FOLDER...",
)
def add(paths: tuple[Path, ...]) -> None:
    """Keep pictures (JPEG, PNG, WebP, GIF) and print the address of each.

    A picture is written anew without what cameras note beside it. The same file has the same address, so
    this can be repeated. The exit status is 1 where a file could not be used.
    """
    failed = asyncio.run(_add(production_checked_settings(found_settings()), paths))
    raise SystemExit(SOME_LEFT_OUT if failed else 0)


async def _add(settings: Settings, paths: tuple[Path, ...]) -> int:
    files = create_files(settings)
    failed = 0
    for path in find_pictures(paths):
        kept = await keep_picture(settings, files, path)
        if kept.fault:
            failed += 1
            click.echo(f"{path}: {kept.fault}", err=True)
        else:
            click.echo(f"{path}\t{kept.address}")
    return failed
