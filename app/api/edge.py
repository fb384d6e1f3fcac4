"""How the parts of the HTTP edge are put together: everything that an application is, but for its surfaces."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.di import Provide
from litestar.routes import HTTPRoute

from app.api.calling import call_at_once
from app.api.dependencies import PLAIN
from app.api.errors import Envelope, Envelopes
from app.api.health import Check, health, ready_handler
from app.api.kept import KeptAnswers
from app.api.known_calls import KnownCalls
from app.api.limits import refuse_lost_bounds
from app.api.metrics import Observer, metrics_handler
from app.api.middleware import Edge
from app.api.openapi import StrictStructSchema, openapi_config, openapi_handler
from app.api.paging import provide_page
from app.api.rate_limits import refuse_unknown_limits
from app.api.request import MAX_BODY, ShopRequest
from app.api.shortcuts import Shortcuts
from app.api.transactions import refuse_uncommitted
from app.settings import Settings


def create_edge(
    settings: Settings,
    *,
    route_handlers: Sequence[Any],
    checks: Mapping[str, Check],
    envelopes: Mapping[str, Envelope] | None = None,
    dependencies: Mapping[str, Any] | None = None,
    version: str = "1",
    metrics_directory: Path | None = None,
    kept: KeptAnswers | None = None,
    calls: KnownCalls | None = None,
    **options: Any,
) -> Litestar:
    """A Litestar application with the edge around it; `options` go to Litestar (state, lifespan, middleware).

    `envelopes` gives surfaces with another error form than RFC 9457 their own, by path prefix; `kept` has
    answers that need no handler, `calls` handlers that need no routing.
    """
    chosen = Envelopes(envelopes or {})
    observer = Observer(metrics_directory or settings.data_dir / "metrics")
    app = Litestar(
        route_handlers=[
            health,
            ready_handler(checks),
            metrics_handler(settings, observer),
            openapi_handler(),
            *route_handlers,
        ],
        dependencies={"paging": Provide(provide_page), **(dependencies or {})},
        request_class=ShopRequest,
        request_max_body_size=MAX_BODY,
        exception_handlers={Exception: chosen.handle},
        openapi_config=openapi_config(version),
        plugins=[StrictStructSchema(), *options.pop("plugins", ())],
        logging_config=None,
        debug=False,
        **options,
    )
    refuse_lost_bounds(app)
    refuse_unknown_limits(app)
    refuse_uncommitted(app)
    call_at_once(app, PLAIN)
    _remember_envelopes(app)
    level_for_success = "debug" if settings.is_production else "info"
    app.asgi_handler = Edge(
        app.asgi_handler,
        envelopes=chosen,
        origins=settings.allowed_origins,
        production=settings.is_production,
        observe=observer,
        methods={
            route.path_format: ", ".join(sorted(route.methods)).encode()
            for route in app.routes
            if isinstance(route, HTTPRoute)
        },
        kept=kept,
        calls=calls,
        shortcuts=Shortcuts(app),
        log_success=settings.log_level in ("debug", level_for_success),
    )
    return app


def _remember_envelopes(app: Litestar) -> None:
    """Find out once what turns the exceptions of a route into answers: Litestar asks all of its layers each time."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if hasattr(handler, "__dict__"):  # not those that Litestar makes for OPTIONS
                found = handler.resolve_exception_handlers()
                handler.__dict__["resolve_exception_handlers"] = lambda found=found: found
