"""The shop as it runs for real, for tests that break parts of it: databases, server processes, a worker.

    async with open_stage() as stage: ...

Everything is a process of its own but the stand-in of Stripe, which lives in the test and keeps the books that
tests compare with. Server and worker are started again whenever they end, as a supervisor would.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from app.db.migrations import migrate
from app.db.session import create_engine, create_sessions, database_address
from app.domain.stores.models import Store
from app.integrations.embedded.postgres import start_postgres
from app.integrations.embedded.process import EmbeddedServer
from app.integrations.embedded.redis import start_redis
from tests.api.live import free_port
from tests.canaries import SECRET_KEY, WATCH
from tests.conftest import make_store
from tests.embedded.processes import environment
from tests.faults.launcher import step_file
from tests.faults.parts import Part, wait_until
from tests.shop import add_variant, open_till
from tests.standins.stripe import StripeStandIn, stripe_stand_in

SERVERS = 2
PRICES = (900, 2500, 7700)
SHIPPING = 500
PLENTY = 1_000_000


@dataclass
class Stage:
    """A running shop with one store, and the means to break it. `rows` and `audit` read its database."""

    folder: Path
    stripe: StripeStandIn
    postgres: EmbeddedServer
    redis: EmbeddedServer
    environ: dict[str, str]
    client: httpx.AsyncClient  # of a shopper; its address is the server's
    server: Part
    worker: Part
    store: Store
    option_id: int
    variants: list[int]
    acknowledged: list[Any] = field(default_factory=list)  # what shoppers were told, for truth.py

    @property
    def mails(self) -> Path:
        return self.folder / "shop" / "mails"

    async def rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Asks PostgreSQL itself, past whatever stands between it and the shop."""
        connection = await asyncpg.connect(database_address(self.postgres.url).asyncpg, timeout=5)
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    # ---- server and worker

    async def is_ready(self) -> bool:
        """Whether every server process is there and the shop says that it is ready."""
        if len(self.server.children()) < SERVERS or not self.worker.is_running:
            return False
        with contextlib.suppress(httpx.TransportError):
            return (await self.client.get("/ready", timeout=5)).status_code == 200
        return False

    async def until_ready(self) -> None:
        await wait_until(self.is_ready, "the shop is ready", said=self.said)

    def said(self) -> str:
        return f"{self.server.said()[-3000:]}\n{self.worker.said()[-3000:]}"

    async def restart(self, **environ: str) -> None:
        """End server and worker in order and start them with other variables; without any, as at first."""
        for part in (self.server, self.worker):
            await part.stop()
            part.environ = self.environ | environ
            await part.start()
        await self.until_ready()

    async def mend(self) -> None:
        """Whatever is still broken, whole again; nothing to do where a drill came to its end."""
        for trap in (self.folder / "traps").iterdir():
            trap.unlink(missing_ok=True)
        self.stripe.clear_faults()
        if self.postgres.exit_code() is not None:
            await self.start_postgres()
        if self.redis.exit_code() is not None:
            await self.start_redis()
        if self.server.environ != self.environ or self.worker.environ != self.environ:
            await self.restart()

    # ---- falls at a step (launcher.STEPS)

    def _trap(self, role: str, step: str) -> Path:
        return self.folder / "traps" / step_file(role, step)

    def set_trap(self, role: str, step: str) -> None:
        """The next process of this role that comes to the step falls there, by kill -9."""
        self._trap(role, step).touch()

    async def until_sprung(self, role: str, step: str, seconds: float = 60) -> None:
        async def sprung() -> bool:
            return not self._trap(role, step).exists()

        await wait_until(sprung, f"a {role} falls at {step}", seconds, said=self.said)

    # ---- the databases

    async def stop_postgres(self, *, immediate: bool = False) -> None:
        """A fast shutdown, or one that leaves recovery to the next start."""
        if immediate and self.postgres.exit_code() is None:
            self.postgres.process.send_signal(signal.SIGQUIT)
        await asyncio.to_thread(self.postgres.stop)

    async def start_postgres(self) -> None:
        """At the same address, on the same data."""
        self.postgres = await asyncio.to_thread(start_postgres, self.folder / "postgres")

    async def stop_redis(self) -> None:
        await asyncio.to_thread(self.redis.stop)

    async def start_redis(self) -> None:
        """At the same address, and empty."""
        self.redis = await asyncio.to_thread(start_redis, self.folder / "redis")


def kill(pid: int) -> bool:
    """Kill -9; False where the process had ended by itself."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _environ(folder: Path, postgres_url: str, redis_url: str, stripe: StripeStandIn) -> dict[str, str]:
    return environment(
        PORT=str(free_port()),
        DATABASE_URL=postgres_url,
        REDIS_URL=redis_url,
        FAULTS_PARENT=str(os.getpid()),
        FAULTS_TRAPS=str(folder / "traps"),
        LOG_LEVEL="error",
        STOREFRONT_DATA_DIR=str(folder / "shop"),
        STOREFRONT_DATABASE_POOL="5",
        STOREFRONT_LIMITS="off",
        STOREFRONT_PAYMENT_WAIT_SECONDS="4",
        STOREFRONT_QUEUE_POLL_SECONDS="0.5",
        STOREFRONT_READS_POOL="5",
        STOREFRONT_RECONCILE_SECONDS="1",
        STOREFRONT_SECRET_KEY=SECRET_KEY,
        STOREFRONT_WORKERS=str(SERVERS),
        STRIPE_API_BASE=stripe.url,
        STRIPE_PUBLISHABLE_KEY="pk_test_standin",
        STRIPE_SECRET_KEY=stripe.secret_key,
        STRIPE_WEBHOOK_SECRETS=stripe.webhook_secret,
    )


async def _furnish(url: str) -> tuple[Store, int, list[int]]:
    await migrate(url)
    engine = create_engine(url, pool_size=2)
    try:
        sessions = create_sessions(engine)
        store = await make_store(sessions)
        option = await open_till(sessions, store, shipping=SHIPPING)
        variants = [await add_variant(sessions, store, price=price, on_hand=PLENTY) for price in PRICES]
        return store, option, variants
    finally:
        await engine.dispose()


async def _look_for_secrets(stage: Stage) -> None:
    """What a shop says while it breaks says no secret; the run fails where it did."""
    for part in (stage.server, stage.worker):
        WATCH.read(f"log of {part.role}", part.said())
    connection = await asyncpg.connect(database_address(stage.postgres.url).asyncpg)
    try:
        await WATCH.read_tables(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def open_stage(changes: Mapping[str, str] | None = None) -> AsyncIterator[Stage]:
    """A ready shop in a folder of its own; `changes` are further variables of its processes."""
    folder = Path(tempfile.mkdtemp(prefix="sf-faults-"))
    (folder / "traps").mkdir()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stripe = await stack.enter_async_context(stripe_stand_in())
        postgres = await asyncio.to_thread(start_postgres, folder / "postgres")
        redis = await asyncio.to_thread(start_redis, folder / "redis")
        environ = _environ(folder, postgres.url, redis.url, stripe) | dict(changes or {})
        store, option_id, variants = await _furnish(postgres.url)
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{environ['PORT']}", timeout=20)
        )
        stage = Stage(
            folder=folder,
            stripe=stripe,
            postgres=postgres,
            redis=redis,
            environ=environ,
            client=client,
            server=Part("serve", environ, folder / "server.log"),
            worker=Part("worker", environ, folder / "worker.log"),
            store=store,
            option_id=option_id,
            variants=variants,
        )
        # The databases may be others by the end.
        stack.push_async_callback(stage.stop_redis)
        stack.push_async_callback(stage.stop_postgres)
        stack.push_async_callback(_look_for_secrets, stage)
        for part in (stage.server, stage.worker):
            stack.push_async_callback(part.stop)
            await part.start()
        await stage.until_ready()
        yield stage
