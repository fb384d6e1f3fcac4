"""How long a session lives, as a table of moments."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.customers.sessions import (
    Session,
    SessionLimits,
    end_of_life,
    life_left,
    needs_renewal,
)
from app.integrations.redis import Breaker

START = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
LIMITS = SessionLimits(idle=3600, idle_remembered=86_400, whole=7200, whole_remembered=172_800)


def session(*, remember: bool = False, seen: int = 0) -> Session:
    return Session(
        id="s",
        store_id=1,
        customer_id=7,
        created_at=START,
        last_seen_at=START + timedelta(seconds=seen),
        ends_at=end_of_life(LIMITS, remember=remember, created_at=START),
        remember=remember,
        device="",
    )


@pytest.mark.parametrize(
    ("remember", "seen", "at", "left"),
    [
        (False, 0, 0, 3600),
        (False, 0, 3599, 1),
        (False, 0, 3600, 0),
        (False, 3000, 3600, 3000),
        (False, 7100, 7100, 100),  # however busy, the whole life ends
        (False, 7199, 7300, -100),
        (True, 0, 3600, 82_800),
        (True, 172_000, 172_000, 800),
    ],
)
def test_a_session_ends_idle_or_at_its_end_whichever_is_first(
    remember: bool, seen: int, at: int, left: int
) -> None:
    found = life_left(session(remember=remember, seen=seen), LIMITS, START + timedelta(seconds=at))
    assert found == timedelta(seconds=left)


def test_shorter_limits_end_sessions_that_were_made_before() -> None:
    shorter = SessionLimits(idle=60, whole=600)
    assert life_left(session(), shorter, START) == timedelta(seconds=60)
    assert life_left(session(seen=590), shorter, START + timedelta(seconds=595)) == timedelta(seconds=5)


@pytest.mark.parametrize(("idle", "after", "renewed"), [(3600, 359, False), (3600, 360, True), (20, 2, True)])
def test_a_busy_session_is_written_once_in_a_while_only(idle: int, after: int, renewed: bool) -> None:
    limits = SessionLimits(idle=idle)
    assert needs_renewal(session(), limits, START + timedelta(seconds=after)) is renewed


def test_a_long_session_is_written_every_ten_minutes_at_most() -> None:
    limits = SessionLimits(idle_remembered=2_592_000)
    kept = session(remember=True)
    assert not needs_renewal(kept, limits, START + timedelta(seconds=599))
    assert needs_renewal(kept, limits, START + timedelta(seconds=600))


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through() -> None:
    clock = [100.0]
    breaker = Breaker(failures=3, open_seconds=1.0, clock=lambda: clock[0])
    breaker.failed()
    breaker.failed()
    breaker.succeeded()
    assert [breaker.failed() for _ in range(3)] == [False, False, True]
    assert not breaker.allows()
    clock[0] += 1.0
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.failed()
    assert not breaker.allows()
    clock[0] += 1.0
    assert breaker.allows()
    assert breaker.succeeded()
    assert breaker.allows()


def test_a_probe_that_vanished_is_followed_by_another() -> None:
    clock = [0.0]
    breaker = Breaker(failures=1, open_seconds=1.0, clock=lambda: clock[0])
    breaker.failed()
    clock[0] = 1.0
    assert breaker.allows()
    clock[0] = 2.0
    assert breaker.allows()
