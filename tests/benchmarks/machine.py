"""What the parts of the shop cost: CPU time, memory, and the statements that reach the database."""

import os
import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import psutil

MIB = 1024 * 1024


@dataclass
class Parts:
    """The processes of the shop by part; a part without a process is not on this machine."""

    processes: dict[str, int | None] = field(default_factory=dict)

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time spent so far by each part, with its children and what they handed up when they ended."""
        return {
            name: sum(_spent(process) for process in _tree(pid))
            for name, pid in self.processes.items()
            if pid is not None
        }

    def memory_mib(self, *names: str) -> dict[str, float]:
        """RSS and PSS of these parts together; PSS counts what processes share once."""
        found = {"rss": 0.0, "pss": 0.0}
        for name in names:
            pid = self.processes.get(name)
            for process in _tree(pid) if pid is not None else ():
                try:
                    info = process.memory_full_info()
                except psutil.Error:
                    continue
                found["rss"] += info.rss / MIB
                found["pss"] += getattr(info, "pss", info.uss) / MIB
        return {name: round(value, 1) for name, value in found.items()}


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _spent(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


class Neighbours:
    """How much of the machine went to programs that are none of ours: it makes every figure worse."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._began = time.monotonic()
        self._busy = _busy_seconds()
        self._ours = self._our_seconds()

    def cores(self) -> float:
        """Cores that others kept busy on average since this was made."""
        others = (_busy_seconds() - self._busy) - (self._our_seconds() - self._ours)
        return max(0.0, others) / (time.monotonic() - self._began)

    def _our_seconds(self) -> float:
        own = os.times()
        return sum(own[:4]) + sum(self._parts.cpu_seconds().values())


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice)


def spent_between(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """CPU seconds per part; a part that was started anew counts from its start."""
    return {name: max(0.0, after[name] - before.get(name, 0.0)) for name in after}


async def postgres_pid(connection: Any) -> int | None:
    """The server's first process, where it runs on this machine and may be looked at."""
    try:
        parent = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()")).parent()
    except psutil.Error:
        return None
    return parent.pid if parent is not None and parent.name().startswith("postgres") else None


def redis_pid(claimed: int) -> int | None:
    try:
        name = psutil.Process(claimed).name()
    except psutil.Error:
        return None
    return claimed if name.startswith(("redis", "valkey")) else None


class Statements:
    """Counts statements by pg_stat_statements, BEGIN and COMMIT included; None where it is not loaded."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.available = False

    async def prepare(self) -> None:
        try:
            await self._connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            await self.total()
        except asyncpg.PostgresError:
            return
        self.available = True

    async def total(self) -> int:
        """All statements in this database so far but the counter's own."""
        return int(
            await self._connection.fetchval(
                "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements "
                "WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) "
                "AND query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%bench:%'"
            )
        )

    async def by_query(self) -> dict[str, int]:
        rows = await self._connection.fetch(
            "SELECT query, sum(calls)::bigint AS calls FROM pg_stat_statements "
            "WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%bench:%' GROUP BY 1"
        )
        return {" ".join(row["query"].split()): row["calls"] for row in rows}
