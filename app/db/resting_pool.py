"""Connections that rest between two transactions, still leased from SQLAlchemy's pool.

Leasing one and giving it back takes SQLAlchemy longer than a short transaction takes the driver. So whoever is done
with one leaves it here, and the next has it at once. How many there may be, how long they live, what is done about
lost ones and who waits for how long stays the pool's to say: it is asked whenever none rests, or one is not to be trusted.
"""

import time
from typing import Any, Final

from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection

# What an entry of the pool notes of its connection: when it was made, and when it was last used.
MADE_AT: Final = "made_at"
USED_AT: Final = "used_at"
# After a rest like this a connection is asked whether it is still there: networks drop silent ones without a word.
REST_SECONDS: Final = 10.0


class RestingPool(AsyncAdaptedQueuePool):
    """The pool of an engine, and in front of it the connections that rest, the last one used on top.

    Nobody who asks the pool itself waits for one that rests: the longest unused is given back to it first.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._resting: list[tuple[PoolProxiedConnection, float]] = []
        self._asking = 0
        self._disposed = False

    def take(self) -> PoolProxiedConnection | None:
        """A connection without a transaction; None where the pool has to be asked."""
        now = time.monotonic()
        while self._resting:
            lease, since = self._resting.pop()
            adapted: Any = lease.dbapi_connection  # the way to the driver that is short
            driver = adapted.driver_connection
            if driver.is_closed():
                self._invalidate(lease)  # whoever closed it has closed the others, too
                return None
            if now - since <= REST_SECONDS and now - lease.info[MADE_AT] <= self._recycle:
                return lease
            self._give_back(lease, since)
        return None

    def rest(self, lease: PoolProxiedConnection) -> None:
        """Leave a connection whose transaction has ended to whoever comes next."""
        if self._disposed:
            lease.invalidate()  # nobody will ask this pool again
        elif self._asking:
            lease.close()
        else:
            self._resting.append((lease, time.monotonic()))

    def _give_back(self, lease: PoolProxiedConnection, since: float) -> None:
        """Leave a connection that rests to the pool, which looks at it before it is used again."""
        noted = lease.info
        lease.close()
        noted[USED_AT] = since

    def _give_all_back(self) -> None:
        resting, self._resting = self._resting, []
        for lease, since in resting:
            self._give_back(lease, since)

    def _do_get(self) -> Any:
        if self._resting and not self._pool.qsize():
            self._give_back(*self._resting.pop(0))
        self._asking += 1
        try:
            return super()._do_get()
        finally:
            self._asking -= 1

    def _invalidate(self, *args: Any, **options: Any) -> None:
        super()._invalidate(*args, **options)
        self._give_all_back()

    def dispose(self) -> None:
        self._disposed = True
        self._give_all_back()
        super().dispose()

    def checkedin(self) -> int:
        return super().checkedin() + len(self._resting)

    def checkedout(self) -> int:
        return super().checkedout() - len(self._resting)
