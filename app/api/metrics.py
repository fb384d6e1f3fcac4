"""What is measured and who may read it: requests by route template, summed over all server processes."""

import asyncio
import importlib
import math
import os
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException

from app.api.client import client_address, is_within, peer_address, was_forwarded
from app.settings import LOOPBACK, Settings

# From a cached read to a slow payment; the shop's own limits end before the last.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NAME = "storefront_http_request_seconds"
HELP = "Time from the first byte of a request to the last of its answer, by route template."
# What was counted is written so long after the first of it.
WRITE_SECONDS = 0.5
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # the library's own variable, honoured where it is set
Observe = Callable[[str, str, int, float], None]


def clear_metrics(directory: Path) -> None:
    """Forget what an earlier run counted. Called once by the starting command, before any server process."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in directory.glob("*.db"):
        file.unlink()


class Observer:
    """Counts requests: in memory, and a moment later in the file that this process shares with whoever is asked.

    The library's own way writes each request twice into the file, which takes a fifth of the time of an answer that
    is kept. What ends suddenly loses that moment.
    """

    def __init__(self, directory: Path) -> None:
        # One directory per process, the first: the library keeps its files open there.
        Path(os.environ.setdefault(DIRECTORY, str(directory))).mkdir(parents=True, exist_ok=True)
        # Now rather than at the first request, so that processes which are forked from here share it.
        importlib.import_module("prometheus_client")
        # Seconds in all, and how many requests fell into each bucket, by method, route and status.
        self._counted: dict[tuple[str, str, int], tuple[list[float], list[int]]] = {}
        self._written: dict[tuple[str, str, int], list[Any]] = {}
        self._waits = False

    def __call__(self, method: str, route: str, status: int, taken: float) -> None:
        key = (method if method in METHODS else "other", route, status)
        found = self._counted.get(key)
        if found is None:
            found = self._counted[key] = [0.0], [0] * (len(BUCKETS) + 1)
        found[0][0] += taken
        found[1][bisect_left(BUCKETS, taken)] += 1
        if not self._waits:
            self._waits = True
            asyncio.get_running_loop().call_later(WRITE_SECONDS, self.write)

    def write(self) -> None:
        """Write what was counted since the last time."""
        self._waits = False
        counted, self._counted = self._counted, {}
        for key, (seconds, buckets) in counted.items():
            values = self._written.get(key)
            if values is None:
                values = self._written[key] = _values(*key)
            for value, more in zip(values, [*seconds, *buckets], strict=True):
                if more:
                    value.inc(more)


def _values(method: str, route: str, status: int) -> list[Any]:
    """The sum and the buckets of a histogram, as the library keeps them for several processes."""
    # The library decides when it is imported whether processes share what they count.
    from prometheus_client.utils import floatToGoString  # noqa: PLC0415 - see above
    from prometheus_client.values import ValueClass  # noqa: PLC0415 - as above

    names, labels = ("method", "route", "status"), (method, route, str(status))
    spelled: Any = floatToGoString  # untyped in the library
    bounds = [spelled(bound) for bound in (*BUCKETS, math.inf)]
    return [
        ValueClass("histogram", NAME, f"{NAME}_sum", names, labels, HELP),
        *(
            ValueClass("histogram", NAME, f"{NAME}_bucket", (*names, "le"), (*labels, bound), HELP)
            for bound in bounds
        ),
    ]


def metrics_handler(settings: Settings, observer: Observer) -> Any:
    """GET /metrics, for the machine itself and the networks of STOREFRONT_METRICS_ALLOW."""

    def collect() -> tuple[bytes, str]:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest  # noqa: PLC0415
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415 - as above

        registry = CollectorRegistry()
        collector: Any = MultiProcessCollector  # untyped in the library
        collector(registry, path=os.environ[DIRECTORY])
        return generate_latest(registry), CONTENT_TYPE_LATEST

    @get("/metrics", include_in_schema=False)
    async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not may_read(request.scope, settings):
            raise NotFoundException
        observer.write()
        text, kind = await asyncio.to_thread(collect)
        return Response(text, headers={"Content-Type": kind})

    return metrics


def may_read(scope: Any, settings: Settings) -> bool:
    """Whether a caller may see the figures. What came through an unknown proxy is not the machine itself."""
    address = client_address(scope, settings.trusted_proxies)
    if was_forwarded(scope) and not is_within(peer_address(scope), settings.trusted_proxies):
        return False
    return is_within(address, (*LOOPBACK, *settings.metrics_allow))
