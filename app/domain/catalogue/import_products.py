"""How the rows of one handle become one product: which row speaks for what, and which rows contradict others."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from app.domain.catalogue.csv_columns import Columns
from app.domain.catalogue.import_rows import ImportRow, ProductCells, VariantCells
from app.domain.catalogue.shopify_csv import Issue

MAX_VARIANTS: Final = 2_048
MAX_IMAGES: Final = 1_000


class ImportImage(msgspec.Struct, frozen=True):
    """A picture at its place, counted from 1."""

    src: str
    position: int
    alt: str | UnsetType


class ImportVariant(msgspec.Struct, frozen=True):
    """A variant, and the line that it stands on."""

    line: int
    cells: VariantCells


class ImportProduct(msgspec.Struct, frozen=True):
    """Everything that a file says of one product. images is UNSET where the file has no column for them.

    `keeps_images`: some address cannot be used, so that the file does not say which pictures there are to be.
    """

    handle: str
    line: int
    cells: ProductCells
    variants: tuple[ImportVariant, ...]
    images: tuple[ImportImage, ...] | UnsetType
    has_faults: bool
    keeps_images: bool


class Assembler:
    """Puts rows together, product by product, and collects what there is to tell about them."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.issues: list[Issue] = []

    def assemble(self, rows: Sequence[ImportRow]) -> ImportProduct | None:
        """One product of all rows with its handle, in the order of their lines; None where it has no title.

        The first row with a title speaks for the product. Of variants with the same options the first
        counts and the others are errors. An image that stands twice is one image.
        """
        first = next((row for row in rows if row.product is not None), None)
        if first is None or first.product is None:
            if not any(row.left_out for row in rows):
                self._tell("error", rows[0], "title", "", "no row of this handle has a title")
            return None
        for row in rows:
            if row.product is not None and row.product.title != first.product.title:
                message = f"the product has its title from line {first.line}; this one is left out"
                self._tell("warning", row, "title", row.product.title, message)
        before = len(self.issues)
        variants = self._variants(rows, first.product)
        images = self._images(rows) if "image_src" in self._columns else UNSET
        errors = any(issue.level == "error" for issue in self.issues[before:])
        return ImportProduct(
            handle=first.handle,
            line=first.line,
            cells=first.product,
            variants=tuple(variants),
            images=images,
            has_faults=errors or any(row.left_out for row in rows),
            keeps_images=any(row.picture_lost for row in rows),
        )

    def _variants(self, rows: Sequence[ImportRow], product: ProductCells) -> list[ImportVariant]:
        found: dict[tuple[str, ...] | None, ImportVariant] = {}
        for row in rows:
            if row.variant is None:
                continue
            values = None if row.variant.values is UNSET else tuple(row.variant.values)
            if values is not None and product.option_names is not UNSET:
                wanted = len(product.option_names)
                if len(values) != wanted:
                    fewer = len(values) < wanted
                    place = min(len(values) + 1 if fewer else wanted + 1, 3)
                    message = (
                        f"the product has {wanted} options, this row has values for {len(values)}"
                        if fewer
                        else f"the first row of the product does not name option {place}"
                    )
                    value = "" if fewer else values[place - 1]
                    self._tell("error", row, f"option{place}_value", value, message)
                    continue
            if values in found:
                message = f"the same options stand on line {found[values].line}"
                shown = " / ".join(values) if values else ""
                self._tell("error", row, "option1_value" if values else "handle", shown, message)
                continue
            if len(found) >= MAX_VARIANTS:
                self._tell(
                    "error", row, "handle", row.handle, f"a product has at most {MAX_VARIANTS:,} variants"
                )
                continue
            found[values] = ImportVariant(row.line, row.variant)
        return list(found.values())

    def _images(self, rows: Sequence[ImportRow]) -> tuple[ImportImage, ...]:
        order: dict[str, tuple[tuple[bool, int, int], str | UnsetType]] = {}
        for row in rows:
            if row.image is not None and row.image.src not in order:
                if len(order) >= MAX_IMAGES:
                    self._tell(
                        "error",
                        row,
                        "image_src",
                        row.image.src,
                        f"a product has at most {MAX_IMAGES:,} images",
                    )
                    continue
                place = row.image.position
                order[row.image.src] = ((place is None, place or 0, row.line), row.image.alt)
        # A picture that only a variant names is a picture of the product all the same, after the others.
        for row in rows:
            src = row.variant.image if row.variant is not None else UNSET
            if isinstance(src, str) and src and src not in order and len(order) < MAX_IMAGES:
                order[src] = ((True, MAX_IMAGES, row.line), UNSET)
        placed = sorted(order.items(), key=lambda item: item[1][0])
        return tuple(ImportImage(src, position, alt) for position, (src, (_, alt)) in enumerate(placed, 1))

    def _tell(
        self, level: Literal["error", "warning"], row: ImportRow, key: str, value: str, message: str
    ) -> None:
        self.issues.append(Issue(level, row.line, row.handle, self._columns.header(key), value, message))
