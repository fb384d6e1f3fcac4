"""How a product file is read: a stream of trimmed rows with their line numbers, and what could not be read."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TextIO

import msgspec

from app.domain.catalogue.csv_columns import Columns, FileError, read_columns

MAX_CELL: Final = 524_288  # characters; a description of a real shop ends at about 10,000
MAX_LINE: Final = 8_388_608  # characters; guards memory against a file without line ends
SHOWN: Final = 80


class Issue(msgspec.Struct, frozen=True):
    """One thing to tell the merchant: an error leaves something out, a warning and a note do not."""

    level: Literal["error", "warning", "note"]
    line: int
    handle: str
    column: str
    value: str
    message: str

    def __str__(self) -> str:
        value = self.value if len(self.value) <= SHOWN else f"{self.value[:SHOWN]}…"
        parts = [f"line {self.line}" if self.line else "the file"]
        parts += [self.handle] if self.handle else []
        if self.column:
            parts.append(f"{self.column} = {value!r}" if value else self.column)
        return f"{self.level}: {', '.join(parts)}: {self.message}"


class Row(msgspec.Struct, frozen=True):
    """One row: its first line in the file, and the trimmed cells of every known column."""

    line: int
    cells: dict[str, str]


class Table(msgspec.Struct, frozen=True):
    """A file being read: its columns, what they already say, and the rows, each or the reason against it.

    `rows` reads as it goes and can be walked once; `position` tells how many bytes have been read.
    """

    columns: Columns
    issues: tuple[Issue, ...]
    rows: Iterator[Row | Issue]
    source: BinaryIO
    text: io.TextIOWrapper  # held here: it closes the source when nobody holds it

    def position(self) -> int:
        return self.source.tell()


def open_table(source: Path | BinaryIO) -> Table:
    """Open a product file. Raises FileError where it cannot be one, naming the reason.

    A caller who passes a path reads `rows` to the end or closes `source`.
    """
    raw = source.open("rb") if isinstance(source, Path) else source
    # Broken bytes become lone surrogates here and are reported with their row, not as the end of the file.
    text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
    # The limit is one for the whole process; every reader of ours wants this one.
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(_lines(text), strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise FileError(f"The first line cannot be read: {error}.") from None
    if not header or not any(name.strip() for name in header):
        raise FileError("The file is empty: its first line must hold the names of the columns.")
    if any("\0" in name or not _is_text(name) for name in header):
        raise FileError("The file is not UTF-8 text; save it as CSV UTF-8.")
    columns = read_columns(header)
    issues = tuple(
        Issue("warning", 1, "", name, "", "this column is not known and is left out")
        for name in columns.unknown
    )
    return Table(columns, issues, _rows(reader, columns), raw, text)


def _lines(text: TextIO) -> Iterator[str]:
    while line := text.readline(MAX_LINE):
        if len(line) >= MAX_LINE:
            raise FileError(f"A line is longer than {MAX_LINE:,} characters: this is no product file.")
        yield line


def _rows(reader: Any, columns: Columns) -> Iterator[Row | Issue]:
    width = len(columns.keys)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Issue("error", line, "", "", "", _csv_reason(str(error)))
            continue
        if not any(cell.strip() for cell in cells):
            continue
        named = {key: cell.strip() for key, cell in zip(columns.keys, cells, strict=False) if key is not None}
        yield (
            _fault(line, cells, named, columns)
            if len(cells) != width or not _clean(cells)
            else Row(line, named)
        )


def _clean(cells: list[str]) -> bool:
    joined = "".join(cells)
    return "\0" not in joined and _is_text(joined)


def _fault(line: int, cells: list[str], named: dict[str, str], columns: Columns) -> Issue:
    """Say what makes a row unreadable, naming its handle and column as far as they can be told."""
    handle = named.get("handle", "")
    shown_handle = handle if _clean([handle]) else ""
    for place, cell in enumerate(cells):
        if not _clean([cell]):
            key = columns.keys[place] if place < len(columns.keys) else None
            reason = "holds a NUL character" if "\0" in cell else "is not UTF-8; save the file as CSV UTF-8"
            shown = cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "\ufffd")
            column = columns.header(key) if key else f"column {place + 1}"
            return Issue("error", line, shown_handle, column, shown.strip(), f"the cell {reason}")
    wanted = f"{len(cells)} cells stand under {len(columns.keys)} columns"
    return Issue("error", line, shown_handle, "", "", f"{wanted}; a comma or a quote is missing or too many")


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _csv_reason(error: str) -> str:
    if "field limit" in error:
        return f"a cell is longer than {MAX_CELL:,} characters"
    if "unexpected end" in error:
        return "a quote opens in this row and does not close before the file ends"
    return f"the quotes of this row do not match ({error})"
