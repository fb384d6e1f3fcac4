"""What time it is: asked once per request or job and passed on."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)


def isoformat(moment: datetime) -> str:
    """ISO 8601 with offset, whole seconds: 2026-01-31T08:15:00+00:00."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
