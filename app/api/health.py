"""Whether the process is alive (/health) and whether it can do its work (/ready, each dependency by name)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

Check = Callable[[], Awaitable[object]]

CHECK_SECONDS = 2.0

log = structlog.get_logger("storefront.health")


class Readiness(msgspec.Struct):
    status: str
    checks: dict[str, str]


@get("/health", tags=["Service"], summary="Alive", operation_id="health")
async def health() -> dict[str, str]:
    """The process answers; says nothing about what it depends on."""
    return {"status": "ok"}


def ready_handler(checks: Mapping[str, Check]) -> Any:
    """GET /ready: 200 when every named check passes within its time, else 503 with the names that fail."""

    @get(
        "/ready",
        tags=["Service"],
        summary="Ready",
        operation_id="ready",
        responses={503: ResponseSpec(Readiness, description="Something that the shop needs is missing.")},
    )
    async def ready() -> Response[Readiness]:
        """What the shop depends on, by name: `ok` or `failed`."""
        results = await asyncio.gather(*(_passes(name, check) for name, check in checks.items()))
        answer = {name: "ok" if good else "failed" for name, good in zip(checks, results, strict=True)}
        good = all(results)
        return Response(
            Readiness("ok" if good else "unavailable", answer),
            status_code=200 if good else 503,
            headers=None if good else {"Retry-After": "2"},
        )

    return ready


async def _passes(name: str, check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001 - whatever a driver raises, the dependency is not ready
        log.warning("not ready", check=name, error=type(error).__name__)
        return False
    return True
