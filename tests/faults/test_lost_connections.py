"""PostgreSQL ends our connections: the next request takes a new one, and a healthy one costs nothing extra."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app.api.faults import translate
from app.db import session as session_module
from app.db.reads import Reads
from app.db.session import create_engine, create_sessions, database_address, transaction
from app.kit.errors import Unavailable

NAME = "lost-connections"


async def end_backends(database_url: str) -> int:
    admin = await asyncpg.connect(database_address(database_url).asyncpg)
    try:
        # Waiting for each end, so that the test needs no patience.
        ended: int = await admin.fetchval(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = $1",
            NAME,
        )
        return ended
    finally:
        await admin.close()


@pytest.mark.parametrize("rest_seconds", [10.0, -1.0])
async def test_the_first_request_after_a_restart_succeeds(
    database_url: str, monkeypatch: pytest.MonkeyPatch, rest_seconds: float
) -> None:
    monkeypatch.setattr(session_module, "REST_SECONDS", rest_seconds)
    engine = create_engine(database_url, pool_size=3, application_name=NAME)
    sessions = create_sessions(engine)
    try:
        async with sessions() as one, sessions() as two, sessions() as three:
            for held in (one, two, three):
                await held.execute(text("SELECT 1"))
        for _ in range(3):
            assert await end_backends(database_url) > 0
            for _ in range(5):
                async with transaction(sessions) as session:
                    assert await session.scalar(text("SELECT 2")) == 2
    finally:
        await engine.dispose()


async def test_a_server_whose_socket_is_gone_is_unavailable_and_no_fault_of_ours(tmp_path: Path) -> None:
    url = f"postgresql://storefront@/storefront?host={tmp_path}"
    engine = create_engine(url, pool_size=1, application_name=NAME)
    reads = Reads(url, size=1)
    try:
        with pytest.raises(ConnectionError) as problem:
            async with transaction(create_sessions(engine)) as session:
                await session.execute(text("SELECT 1"))
        assert isinstance(translate(problem.value), Unavailable)
        with pytest.raises(Unavailable):
            await reads.fetchval("SELECT 1")
    finally:
        await reads.close()
        await engine.dispose()


async def test_a_connection_in_steady_use_is_not_asked_before_each_use(database_url: str) -> None:
    engine = create_engine(database_url, pool_size=1, application_name=NAME)
    sessions = create_sessions(engine)
    try:
        sent: list[str] = []
        async with sessions() as session:
            connection: Any = (await (await session.connection()).get_raw_connection()).driver_connection
            connection.add_query_logger(lambda query: sent.append(query.query))
        for _ in range(3):
            async with transaction(sessions) as session:
                await session.execute(text("SELECT 3"))
        # The logger sees what goes out as plain text; a ping would be a transaction of its own.
        assert sent == ["BEGIN;", "COMMIT;"] * 3
    finally:
        await engine.dispose()
