"""Which handles our own paths hide: the words of the routes, and those that the contract promises."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from litestar import Controller, Router
from litestar.handlers.base import BaseRouteHandler
from litestar.utils import join_paths

from app.api.storefront import storefront_handlers

PREFIX: Final = "/products/"
# A handle is an address for good, so it must not be given out and be hidden by a later path.
PROMISED: Final = frozenset(
    {"back-in-stock", "best-selling", "by-colors", "by-ids", "search", "types", "variants"}
)


def product_path_words() -> frozenset[str]:
    """The fixed segments that stand where the path of a product has its handle, as `search`.

    Read from the handlers themselves: putting the whole application together would take a second.
    """
    return PROMISED.union(
        word
        for path in _paths(storefront_handlers())
        if PREFIX in path
        for word in path.partition(PREFIX)[2].split("/")
        if word and not word.startswith("{")
    )


def _paths(handlers: Iterable[Any]) -> Iterator[str]:
    for handler in handlers:
        if isinstance(handler, BaseRouteHandler):
            yield from (join_paths([path]) for path in handler.paths)
        elif isinstance(handler, Router):
            yield from (route.path for route in handler.routes)
        elif isinstance(handler, type) and issubclass(handler, Controller):
            own = (getattr(handler, name, None) for name in dir(handler))
            methods = [method for method in own if isinstance(method, BaseRouteHandler)]
            # Without a path of its own the class has Litestar's slot there, which is no text.
            prefix = str(vars(handler).get("path", "/"))
            yield from (join_paths([prefix, path]) for path in _paths(methods))
