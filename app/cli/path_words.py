"""Which handles our own paths hide: made from the routes, so that a new path needs no list to be kept."""

from typing import Final

from app.settings import Settings

PREFIX: Final = "/storefront/v1/products/"


def product_path_words(settings: Settings) -> frozenset[str]:
    """The fixed segments that stand where the path of a product has its handle, as `search`."""
    from app.main import create_app  # noqa: PLC0415 - the whole application; only this command needs it

    return frozenset(
        word
        for route in create_app(settings).routes
        if route.path.startswith(PREFIX)
        for word in route.path.removeprefix(PREFIX).split("/")
        if word and not word.startswith("{")
    )
