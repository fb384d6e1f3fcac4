"""A stage whose every neighbour can misbehave: Redis and Stripe stand behind lines, mail goes to a server of ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.faults.stage import Stage, open_stage
from tests.standins.line import Line, line_to_port, line_to_socket
from tests.standins.mail_server import MailServer, mail_server

# Wide, and counted in Redis all the same.
LIMITS = "checkout=10000/60,payment=10000/60,lookup=10000/60"


@dataclass
class Place:
    stage: Stage
    redis: Line
    stripe: Line
    mail: MailServer

    def running(self) -> set[int]:
        """The processes of the shop; the same ones afterwards means that none had to be started anew."""
        return {self.stage.server.pid, self.stage.worker.pid, *self.stage.server.children()}


@asynccontextmanager
async def open_place() -> AsyncIterator[Place]:
    async with open_stage() as stage, mail_server() as mail:
        near = stage.folder / "line.sock"
        far = Path(unquote(urlsplit(stage.redis.url).path))
        company = urlsplit(stage.stripe.url)
        assert company.port is not None
        async with line_to_socket(far, near) as redis, line_to_port(company.port) as (stripe, port):
            await stage.restart(
                REDIS_URL=f"unix://{near}",
                SMTP_URL=mail.url,
                STOREFRONT_LIMITS=LIMITS,
                STRIPE_API_BASE=f"http://127.0.0.1:{port}",
            )
            yield Place(stage, redis, stripe, mail)
            # Lines are hung up before the processes are told to end; they shall not wait for that.
            for part in (stage.server, stage.worker):
                await part.stop()


def times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
