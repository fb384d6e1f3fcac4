"""What is read in shops of two sizes: every list, filter, search and detail, in words that both shops have."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from tests.benchmarks.grow import EVERYTHING, SPAN, series_word
from tests.benchmarks.operations import BASE

# The copy of the catalogue that both shops have, so that what is read of it is the same in both.
COPY: Final = 1
SOME: Final = 60


@dataclass(frozen=True)
class Read:
    """One kind of read by the paths that are called in turn."""

    name: str
    paths: list[str]


async def scale_reads(database: Any) -> list[Read]:
    """The reads, with what the paths name taken from the database of either shop."""
    first, last = COPY * SPAN, (COPY + 1) * SPAN
    products = await database.fetch(
        "SELECT id, handle, title FROM products WHERE id BETWEEN $1 AND $2 AND listed ORDER BY id",
        first,
        last,
    )
    variants = await database.fetch(
        "SELECT id, type_id, sku FROM variants WHERE id BETWEEN $1 AND $2 AND listed AND sku <> '' ORDER BY id",
        first,
        last,
    )
    shelves = [
        row["handle"]
        for row in await database.fetch(
            "SELECT handle FROM collections WHERE id BETWEEN $1 AND $2 AND visible ORDER BY id", first, last
        )
    ]
    handles = [row["handle"] for row in products[:SOME]]
    names = [row["title"].rpartition(" ")[2].lower() for row in products[:SOME]]
    types = sorted({row["type_id"] for row in variants if row["type_id"]})
    ids = [row["id"] for row in variants[:SOME]]
    skus = [row["sku"] for row in variants[:SOME]]
    return [
        Read("products", _paged("/products?limit=20")),
        *(
            Read(f"variants by {order}", _paged(f"/products/variants?limit=20&order_by={order}"))
            for order in ("date", "title", "price", "best_selling", "review_rating")
        ),
        Read("product by handle", [f"/products/{handle}" for handle in handles]),
        Read("variant", [f"/products/variants/{each}" for each in ids]),
        Read(
            "variants by ids", [f"/products/variants/by-ids?{_ids(ids[n : n + 20])}" for n in range(0, 40, 4)]
        ),
        Read("variants by colours", _colors()),
        Read("best selling", ["/products/best-selling"]),
        Read("types", ["/products/types"]),
        Read("collections", _paged("/collections?limit=20")),
        Read("collection and its filters", [f"/collections/{shelf}" for shelf in shelves]),
        Read("collection", [f"/collections/{shelf}/products?limit=20" for shelf in shelves]),
        Read("collection by price", [f"/collections/{shelf}/products?order_by=price" for shelf in shelves]),
        Read("collection by colour", [f"/collections/{shelf}/products?color[]=fern" for shelf in shelves]),
        Read("collection of all", _paged(f"/collections/{EVERYTHING}/products?limit=20")),
        Read("collection of all by price", [f"/collections/{EVERYTHING}/products?order_by=price"]),
        Read("collection of all by colour", [f"/collections/{EVERYTHING}/products?color[]=fern"]),
        Read("filters of all", [f"/collections/{EVERYTHING}"]),
        Read("category of all", [f"/category/{EVERYTHING}/products?limit=20"]),
        Read("categories", ["/categories"]),
        Read("variants of a type", [f"/products/variants?types[]={each}" for each in types]),
        Read(
            "variants by option",
            [f"/products/variants?filter_by[Color][]={c}" for c in ("Fern", "Rust", "Clay")],
        ),
        Read("search: one", [f"/products/search?q={name}" for name in names]),
        Read("search: a hundred", [f"/products/search?q={series_word(COPY)}"]),
        Read("search: SKU", [f"/products/search?q={quote(sku)}" for sku in skus]),
        Read("search: mistyped", [f"/products/search?q={_mistyped(name)}" for name in names]),
        Read("search: common words", [f"/products/search?q={word}" for word in COMMON]),
        Read("search: first letters", [f"/products/search?q={letters}" for letters in LETTERS]),
        Read("search: everything", [f"/search?search={name}" for name in names]),
        Read("variants by words", [f"/products/variants?search={name}" for name in names]),
        Read("variants by common words", [f"/products/variants?search={word}" for word in COMMON[:4]]),
        Read("address", [f"/resolve?first=products&second={handle}" for handle in handles]),
    ]


COMMON: Final = (
    "tent",
    "camp",
    "wool",
    "blanket",
    "lamp",
    "jacket",
    "socks",
    "kettle",
    "linen",
    "oak",
    "steel",
    "rain",
)
LETTERS: Final = (*"abcdefglmprstw", "ba", "ca", "la", "ma", "pa", "sa", "te", "wo")


def _paged(path: str) -> list[str]:
    return [f"{path}&page={page}" for page in (1, 2, 3, 5)]


def _ids(ids: list[int]) -> str:
    return "&".join(f"product_ids[]={each}" for each in ids)


def _colors() -> list[str]:
    codes = ("2f5d3a", "aa0000", "1d3a5f", "e8dcc0", "444444", "c96f2a")
    return [f"/products/variants/by-colors?colors[]={code}" for code in codes]


def _mistyped(word: str) -> str:
    """Two letters in the middle the other way round."""
    place = len(word) // 2
    return word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :]


def address(path: str) -> str:
    """The path as it is called."""
    return BASE + path.replace("[", "%5B").replace("]", "%5D")
