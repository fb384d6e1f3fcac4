"""Which answers about the catalogue a process keeps, and when one of them may be sent again.

An answer is good while its store's catalogue has the version that it was made at (db/versions.py). It is sent
before routing, so that a hot page costs no more than its bytes.
"""

from typing import Any, Final

import msgspec

from app.api.asked import asked
from app.api.caching import CatalogueAnswer, matches
from app.db.versions import Versions

# Under this key of a request's scope lies what its answer would be kept under.
KEPT_AS: Final = "storefront.kept_as"
# One answer takes no more than this share of the room.
MOST_SHARE: Final = 16
# What an entry takes beside its body and address, roughly.
OVERHEAD: Final = 1000

Key = tuple[str, bytes, bytes, bytes]


class Kept(msgspec.Struct, frozen=True):
    store_id: int
    version: int
    route: str
    tag: str
    answer: CatalogueAnswer
    size: int


class KeptAnswers:
    """Whole answers in memory, as many as `most_bytes` hold, the longest unused leaving first; 0 keeps none.

    The versions are known in any case: tags are made of them.
    """

    def __init__(self, versions: Versions, *, most_bytes: int) -> None:
        self.versions = versions
        self._most = most_bytes
        self._bytes = 0
        self._kept: dict[Key, Kept] = {}

    @property
    def is_on(self) -> bool:
        return self._most > 0

    async def open(self) -> None:
        self.versions.open(forget=self.forget)

    async def close(self) -> None:
        await self.versions.close()
        self.forget()

    def forget(self) -> None:
        self._kept.clear()
        self._bytes = 0

    async def send(self, scope: Any, send: Any) -> bool:
        """Answer a GET with what is kept; False where nothing is, or where it is too old."""
        headers = asked(scope)
        key = (scope["path"], scope["query_string"], headers.host, headers.store)
        kept = self._kept.get(key)
        if kept is not None:
            version = self.versions.find(kept.store_id)
            if version is None:
                version = await self.versions.get(kept.store_id)
            if version == kept.version and self.versions.listening:
                # Used last, leaves last.
                if self._kept.pop(key, None) is kept:
                    self._kept[key] = kept
                scope["path_template"] = kept.route
                known = headers.tags is not None and matches(headers.tags.decode("latin-1"), kept.tag)
                answer = CatalogueAnswer(None, kept.tag) if known else kept.answer
                await answer(scope, None, send)
                return True
            self._drop(key)
        scope[KEPT_AS] = key
        return False

    def keep(self, scope: Any, body: bytes, *, store_id: int, version: int, tag: str) -> None:
        """Keep an answer that was read after its version was."""
        key: Key | None = scope.get(KEPT_AS)
        if key is None or not self.versions.listening:
            return
        size = len(body) + len(key[0]) + len(key[1]) + OVERHEAD
        if size * MOST_SHARE > self._most:
            return
        self._drop(key)
        answer = CatalogueAnswer(body, tag)
        self._kept[key] = Kept(store_id, version, scope.get("path_template") or "", tag, answer, size)
        self._bytes += size
        while self._bytes > self._most:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._bytes -= gone.size
