"""What is measured and who may read it: requests by route template, summed over all server processes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException

from app.api.client import client_address, is_within, peer_address, was_forwarded
from app.settings import LOOPBACK, Settings

# From a cached read to a slow payment; the shop's own limits end before the last.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # the library's own variable, honoured where it is set
Observe = Callable[[str, str, int, float], None]


def clear_metrics(directory: Path) -> None:
    """Forget what an earlier run counted. Called once by the starting command, before any server process."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in directory.glob("*.db"):
        file.unlink()


def create_observer(directory: Path) -> Observe:
    """Begin to count in this process; every process writes its own files in the directory."""
    # One directory per process, the first: the library keeps its files open there.
    Path(os.environ.setdefault(DIRECTORY, str(directory))).mkdir(parents=True, exist_ok=True)
    # The library decides when it is imported whether processes share what they count.
    from prometheus_client import CollectorRegistry, Histogram  # noqa: PLC0415 - see above

    seconds = Histogram(
        "storefront_http_request_seconds",
        "Time from the first byte of a request to the last of its answer, by route template.",
        ("method", "route", "status"),
        buckets=BUCKETS,
        registry=CollectorRegistry(),
    )
    children: dict[tuple[str, str, int], Any] = {}

    def observe(method: str, route: str, status: int, taken: float) -> None:
        key = (method if method in METHODS else "other", route, status)
        child = children.get(key)
        if child is None:
            child = children[key] = seconds.labels(key[0], key[1], str(key[2]))
        child.observe(taken)

    return observe


def metrics_handler(settings: Settings) -> Any:
    """GET /metrics, for the machine itself and the networks of STOREFRONT_METRICS_ALLOW."""

    @get("/metrics", include_in_schema=False, sync_to_thread=True)
    def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not may_read(request.scope, settings):
            raise NotFoundException
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest  # noqa: PLC0415
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415 - as above

        registry = CollectorRegistry()
        collector: Any = MultiProcessCollector  # untyped in the library
        collector(registry, path=os.environ[DIRECTORY])
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return metrics


def may_read(scope: Any, settings: Settings) -> bool:
    """Whether a caller may see the figures. What came through an unknown proxy is not the machine itself."""
    address = client_address(scope, settings.trusted_proxies)
    if was_forwarded(scope) and not is_within(peer_address(scope), settings.trusted_proxies):
        return False
    return is_within(address, (*LOOPBACK, *settings.metrics_allow))
