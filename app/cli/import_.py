"""`storefront import products`: a product file into a store, with what could not be loaded named line by line."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from app.cli.environment import found_settings, production_checked_settings, with_databases
from app.cli.importing import Summary, import_products
from app.cli.path_words import product_path_words
from app.cli.pictures import find_pictures, keep_picture
from app.db.session import create_engine, create_sessions
from app.domain.catalogue.csv_columns import FileError
from app.domain.catalogue.shopify_csv import Issue
from app.domain.stores.applying import find_store
from app.domain.stores.service import DEFAULT_STORE
from app.integrations.files import create_files
from app.settings import Settings

# The same fault once per row says little after the first few; the lines of the others are named together.
SHOWN_OF_A_KIND: Final = 5
SHOWN_SPANS: Final = 12
SOME_LEFT_OUT: Final = 1


class UnreadableError(click.ClickException):
    """The file as a whole is no product file."""

    exit_code = 2


@click.group()
def command() -> None:
    """Load data from files."""


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--store", default=DEFAULT_STORE, show_default=True, metavar="CODE", help="The store to load into."
)
@click.option("--skip-existing", is_flag=True, help="Leave products alone whose handle is known.")
@click.option(
    "--pictures",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Keep the pictures of this folder; the file names them by their path in it.",
)
def products(file: Path, store: str, skip_existing: bool, pictures: Path | None) -> None:
    """Load a product file, as Shopify exports it.

    Products with a known handle are updated: a column that the file does not have keeps its value, a blank
    cell empties it. Prices are in the store's currency. Image addresses are kept, never fetched; with
    --pictures, an image may also be a path in that folder, as `mugs/red.jpg`. The pictures become those of
    the file, but for products with an address that cannot be used: those keep the pictures they have.

    The exit status is 0 where everything was loaded, 1 where rows or parts of rows were left out, and
    2 where the file cannot be read at all.
    """
    with with_databases(production_checked_settings(found_settings())) as settings:
        summary = asyncio.run(_run(settings, file, store, skip_existing, pictures))
    raise SystemExit(SOME_LEFT_OUT if summary.left_out else 0)


async def _run(
    settings: Settings, file: Path, code: str, skip_existing: bool, pictures: Path | None
) -> Summary:
    engine = create_engine(settings.database_url, pool_size=2, application_name="storefront import")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    report = Report(console)
    try:
        async with create_sessions(engine)() as session:
            store = await find_store(session, code)
        if store is None:
            raise click.ClickException(f"there is no store {code!r}; `storefront apply` makes one")
        with Bar(console) as bar:
            kept = await _keep(settings, pictures, report, bar) if pictures else {}
            summary = await import_products(
                engine,
                store.id,
                store.currency,
                file,
                skip_existing=skip_existing,
                hidden_handles=product_path_words(),
                rewrite_image=lambda named: kept.get(named, named),
                tell=report.tell,
                progress=bar.show,
            )
    except FileError as error:
        raise UnreadableError(f"{file.name}: {error}") from error
    finally:
        await engine.dispose()
    report.close()
    for line in summary_lines(summary, report.counts):
        click.echo(line)
    return summary


async def _keep(settings: Settings, folder: Path, report: "Report", bar: "Bar") -> dict[str, str]:
    """Keep every picture of a folder; the address of each by its path there."""
    files = create_files(settings)
    found = list(find_pictures((folder,)))
    addresses = {}
    for done, path in enumerate(found, 1):
        kept = await keep_picture(settings, files, path)
        if kept.fault:
            report.tell_of_file(path, kept.fault)
        else:
            addresses[path.relative_to(folder).as_posix()] = kept.address
        bar.show("Pictures", done, len(found))
    return addresses


class Report:
    """Prints what there is to tell as it comes, and cuts repetitions short."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
        self.counts: Counter[str] = Counter()

    def tell(self, issue: Issue) -> None:
        self.counts[issue.level] += 1
        kind = (issue.level, issue.column, issue.message)
        self._lines[kind].append(issue.line)
        if len(self._lines[kind]) <= SHOWN_OF_A_KIND:
            self._console.print(str(issue), markup=False)

    def tell_of_file(self, path: Path, fault: str) -> None:
        self.counts["warning"] += 1
        self._console.print(f"warning: {path}: {fault}", markup=False)

    def close(self) -> None:
        for (level, column, message), lines in self._lines.items():
            if more := lines[SHOWN_OF_A_KIND:]:
                where = f"{len(more)} more of {column}" if column else f"{len(more)} more"
                self._console.print(f"{level}: {where}, {line_spans(more)}: {message}", markup=False)


def line_spans(lines: Sequence[int]) -> str:
    """Lines in a few words: `lines 3-7, 9 and 40 others`."""
    spans: list[list[int]] = []
    for line in sorted(set(lines)):
        if spans and line == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], line]
        else:
            spans.append([line])
    shown = ", ".join("-".join(map(str, span)) for span in spans[:SHOWN_SPANS])
    others = sum(span[-1] - span[0] + 1 for span in spans[SHOWN_SPANS:])
    told = f"{shown} and {others} other{'s' if others > 1 else ''}" if others else shown
    return f"line{'' if len(set(lines)) == 1 else 's'} {told}"


class Bar:
    """A progress bar on a terminal; nothing where the output goes elsewhere."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:8}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, phase: str, done: int, total: int) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=total)
        self._progress.update(self._tasks[phase], completed=done)


def summary_lines(summary: Summary, counts: Counter[str]) -> list[str]:
    """What a run came to, in two or three lines."""
    outcome = summary.outcome
    parts = [
        f"{count} {what}"
        for count, what in (
            (outcome.created, "made"),
            (outcome.updated, "changed"),
            (outcome.unchanged, "unchanged"),
            (outcome.skipped, "known and skipped"),
            (outcome.left_out, "left out"),
        )
        if count
    ]
    lines = [f"Products: {', '.join(parts) or 'none'} ({summary.rows} rows in {summary.seconds:.1f} s)."]
    if summary.changed:
        lines.append(
            f"Variants: {outcome.variants_created} made, {outcome.variants_updated} changed; "
            f"stock set for {outcome.stock_changed}; "
            f"images: {outcome.images_created} new, {outcome.images_removed} removed."
        )
    else:
        told = (
            "what could be read stands in the shop already" if counts else "the shop stands as the file says"
        )
        lines.append(f"Nothing was changed: {told}.")
    if outcome.images_kept:
        lines.append(
            f"{outcome.images_kept} {'product keeps' if outcome.images_kept == 1 else 'products keep'} "
            "the pictures that stood in the shop, since some image address of the file cannot be used."
        )
    if counts:
        told = ", ".join(
            f"{counts[level]} {level if counts[level] == 1 else f'{level}s'}"
            for level in ("error", "warning", "note")
            if counts[level]
        )
        lines.append(f"Told above: {told}.")
    return lines
