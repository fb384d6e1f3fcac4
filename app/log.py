"""What is written to the log and how: text for people, JSON lines for machines, never a secret."""

import logging
import re
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog

request_id: ContextVar[str] = ContextVar("request_id", default="")

# A name that holds one of these words holds something that opens a door.
_SECRET = re.compile(
    r"authorization|cookie|password|secret|token|auth_key|api_key|apikey|cart_uuid|card|session|dsn|_url$",
    re.IGNORECASE,
)


def configure_logging(*, level: str, form: str) -> None:
    """Set structlog and the standard library's logging to one stream and one form. Called once per process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_request_id,
        mask_secrets,
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    # SQLAlchemy tells of its pools by our name for them, at every end.
    logging.getLogger("app.db.resting_pool").setLevel(logging.WARNING)
    # It lists its own plugins at every start.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    # Below warnings the stripe library writes down whole answers, with what opens a payment.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    # And the client of the login providers the addresses that it calls, which hold tokens at Facebook.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("httpcore2").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )


def add_request_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    current = request_id.get()
    if current:
        event.setdefault("request_id", current)
    return event


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Star out every value whose name says that it is a secret."""
    for name in event:
        if _SECRET.search(name) and event[name]:
            event[name] = "****"
    return event
