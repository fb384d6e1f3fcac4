"""What lists of variants and products can be narrowed to, and the SQL conditions that say so.

Within one dimension any of the values will do; all dimensions hold together, and for the same variant: red
and M is a variant that is both.
"""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from app.domain.catalogue.drafts import key_of

TYPES: Final = "types"
VENDORS: Final = "vendors"
TAGS: Final = "tags"
# A variant is sold out while its stock says so; one that nobody counts never is.
SOLD_OUT: Final = (
    "EXISTS (SELECT 1 FROM stock_items s WHERE s.store_id = $1 AND s.variant_id = v.id AND NOT s.available)"
)


class Filters(msgspec.Struct, frozen=True):
    """What is wanted. Each option has its key and its facets, option=value folded; prices in minor units."""

    options: tuple[tuple[str, tuple[str, ...]], ...] = ()
    types: tuple[int, ...] = ()
    vendors: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    price_from: int | None = None
    price_to: int | None = None
    available: bool | None = None

    @classmethod
    def of(cls, chosen: Mapping[str, Sequence[str]], **others: Any) -> "Filters":
        """From the names of options and values as somebody wrote them."""
        options: dict[str, set[str]] = {}
        for option, values in chosen.items():
            key = key_of(option)
            options.setdefault(key, set()).update(f"{key}={key_of(value)}" for value in values)
        return cls(
            options=tuple((key, tuple(sorted(facets))) for key, facets in sorted(options.items()) if facets),
            **others,
        )

    def __bool__(self) -> bool:
        return self != EVERYTHING


EVERYTHING: Final = Filters()


class Shape(msgspec.Struct, frozen=True):
    """Which conditions there are, without their values: what a statement is kept by."""

    options: int = 0
    types: bool = False
    vendors: bool = False
    tags: bool = False
    price_from: bool = False
    price_to: bool = False
    available: bool | None = None

    @classmethod
    def of(cls, filters: Filters) -> "Shape":
        return cls(
            options=len(filters.options),
            types=bool(filters.types),
            vendors=bool(filters.vendors),
            tags=bool(filters.tags),
            price_from=filters.price_from is not None,
            price_to=filters.price_to is not None,
            available=filters.available,
        )


class Conditions(msgspec.Struct, frozen=True):
    """SQL over v (variants) and p (products). options look at `facets` of whichever alias stands for {f}."""

    options: tuple[str, ...]
    product: dict[str, str]
    price: str
    available: str
    # The first placeholder that is free after those used here.
    next: int

    @property
    def of_variants(self) -> list[str]:
        """What can be told from the row of a variant and its stock."""
        found = [option.format(f="v") for option in self.options]
        found += [test for test in (self.price, self.available) if test]
        if TYPES in self.product:
            found.append(self.product[TYPES].replace("p.type_id", "v.type_id"))
        return found

    @property
    def of_products(self) -> list[str]:
        """What needs the row of the product, p."""
        return [test for name, test in self.product.items() if name != TYPES]


def conditions(shape: Shape, place: int) -> Conditions:
    """The conditions of this shape, whose values begin at the placeholder $place."""
    free = iter(range(place, place + 100))
    options = tuple(f"{{f}}.facets && CAST(${next(free)} AS text[])" for _ in range(shape.options))
    product: dict[str, str] = {}
    if shape.types:
        product[TYPES] = f"p.type_id = ANY(CAST(${next(free)} AS bigint[]))"
    if shape.vendors:
        product[VENDORS] = f"lower(p.vendor) = ANY({_lowered(next(free))})"
    if shape.tags:
        product[TAGS] = (
            f"EXISTS (SELECT 1 FROM unnest(p.tags) AS own (tag) WHERE lower(own.tag) = ANY({_lowered(next(free))}))"
        )
    prices = []
    if shape.price_from:
        prices.append(f"v.price >= CAST(${next(free)} AS bigint)")
    if shape.price_to:
        prices.append(f"v.price <= CAST(${next(free)} AS bigint)")
    available = {None: "", True: f"NOT {SOLD_OUT}", False: SOLD_OUT}[shape.available]
    return Conditions(options, product, " AND ".join(prices), available, next(free))


def _lowered(place: int) -> str:
    return f"ARRAY(SELECT lower(word) FROM unnest(CAST(${place} AS text[])) AS asked (word))"


def arguments(filters: Filters) -> list[object]:
    """The values of conditions() in the order of their placeholders."""
    found: list[object] = [list(facets) for _, facets in filters.options]
    found += [list(values) for values in (filters.types, filters.vendors, filters.tags) if values]
    found += [price for price in (filters.price_from, filters.price_to) if price is not None]
    return found
