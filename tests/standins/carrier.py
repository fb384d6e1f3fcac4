"""A carrier's gateway as docs/shipping.md describes it, which can also be slow, down or out of its mind."""

import asyncio
import json
from typing import Any

from tests.standins.wire import Call, Reply

RATES = {
    "rates": [
        {"service": "ground", "price": 1234, "currency": "USD", "min_days": 2, "max_days": 3},
        {"service": "air", "price": 4321, "currency": "USD"},
    ]
}


class CarrierGateway:
    """Answers RATES, or what it is told to; `asked` is what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.reply: Reply = Reply(200, RATES)
        self.hangs = asyncio.Event()
        self.hangs.set()
        # Called while somebody waits for the answer.
        self.meanwhile: Any = None

    def says(self, body: Any, *, status: int = 200) -> None:
        self.reply = Reply(status, body)

    async def answer(self, call: Call) -> Reply:
        self.asked.append(json.loads(call.body))
        self.tokens.append(call.headers.get("authorization", ""))
        if self.meanwhile is not None:
            await self.meanwhile()
        await self.hangs.wait()
        return self.reply
