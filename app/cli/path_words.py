"""Which handles our own paths hide: the words of the routes, and those that the contract promises."""

from typing import Final

from app.settings import Settings

PREFIX: Final = "/storefront/v1/products/"
# A handle is an address for good, so it must not be given out and be hidden by a later path.
PROMISED: Final = frozenset(
    {"back-in-stock", "best-selling", "by-colors", "by-ids", "search", "types", "variants"}
)


def product_path_words(settings: Settings) -> frozenset[str]:
    """The fixed segments that stand where the path of a product has its handle, as `search`."""
    from app.main import create_app  # noqa: PLC0415 - the whole application; only this command needs it

    return PROMISED.union(
        word
        for route in create_app(settings).routes
        if route.path.startswith(PREFIX)
        for word in route.path.removeprefix(PREFIX).split("/")
        if word and not word.startswith("{")
    )
