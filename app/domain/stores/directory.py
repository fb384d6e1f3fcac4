"""Which store a request means, remembered for at most a second."""

import time
from collections.abc import Sequence
from typing import Final

from app.db.reads import Reads
from app.db.side_by_side import SideBySide
from app.domain.stores.queries import StoreConfig, get_store_config, get_store_id

FRESH_SECONDS: Final = 1.0
MOST_NAMES: Final = 1000


class StoreDirectory:
    """Store configurations by name and by id, never older than a second."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._ids: dict[tuple[str, str], tuple[float, int]] = {}
        self._configs: dict[int, tuple[float, StoreConfig]] = {}
        # The mails of a turn ask at once, and so do requests.
        self._read_config = SideBySide(self._read_configs)

    async def find(self, *, code: str, host: str) -> StoreConfig:
        """The store of an X-Store header and a host name. Raises NotFound store_not_found."""
        now = time.monotonic()
        known = self._ids.get((code, host))
        if known is None or known[0] < now:
            store_id = await get_store_id(self._reads, code=code, host=host)
            if len(self._ids) >= MOST_NAMES:
                self._ids.clear()
            self._ids[code, host] = (now + FRESH_SECONDS, store_id)
        else:
            store_id = known[1]
        return await self.get(store_id)

    async def get(self, store_id: int) -> StoreConfig:
        now = time.monotonic()
        known = self._configs.get(store_id)
        if known is None or known[0] < now:
            known = (now + FRESH_SECONDS, await self._read_config(store_id))
            self._configs[store_id] = known
        return known[1]

    async def _read_configs(self, store_ids: Sequence[int]) -> list[StoreConfig]:
        read = {store_id: await get_store_config(self._reads, store_id) for store_id in set(store_ids)}
        return [read[store_id] for store_id in store_ids]
