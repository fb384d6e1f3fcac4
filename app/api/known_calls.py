"""Which calls of the catalogue a process has answered before, so that the same address need not be taken apart anew.

Finding the route, its parameters and what its handler is given takes longer than some of the reads themselves. Nothing
of an answer is kept here: who asks again has everything read from the database again.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from app.api.caching import CatalogueAnswer, NotModified

# Some megabytes of them at most, of which the longest unused leaves first.
MOST_CALLS: Final = 4_000
LONGEST: Final = 500

# Answers the call of a scope; it holds what the address says, and nothing of who asked first.
Again = Callable[[Any], Awaitable[Any]]


class KnownCall(msgspec.Struct, frozen=True):
    route: str
    again: Again


class KnownCalls:
    """By path and query. Store, version and tags are looked at for each call as they are for the first."""

    def __init__(self, *, most: int = MOST_CALLS) -> None:
        self._most = most
        self._known: dict[tuple[str, bytes], KnownCall] = {}

    async def send(self, scope: Any, receive: Any, send: Any) -> bool:
        """Answer a GET that was answered before; False where it was not. Raises what its handler raises."""
        key = (scope["path"], scope["query_string"])
        known = self._known.pop(key, None)
        if known is None:
            return False
        self._known[key] = known
        scope["path_template"] = known.route
        try:
            answer = await known.again(scope)
        except NotModified as modified:
            answer = CatalogueAnswer(None, modified.tag)
        await answer(scope, receive, send)
        return True

    def remember(self, scope: Any, again: Again) -> None:
        """Know a call that was answered well."""
        key = (scope["path"], scope["query_string"])
        if len(key[0]) + len(key[1]) > LONGEST:
            return
        self._known[key] = KnownCall(scope["path_template"], again)
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]
