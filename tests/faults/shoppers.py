"""Shoppers who do not give up: they repeat what was cut off, under the same key, and note what they were told."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import httpx

from tests.faults.stage import Stage
from tests.shop import Guest
from tests.standins.stripe import StripeStandIn

VISA = "pm_card_visa"
GAP_SECONDS = 0.2  # before a call is repeated
PATIENCE_SECONDS = 180.0
MOST_ATTEMPTS = 20
# What the shop says of an attempt that took no money and is over; another attempt is then in order.
TRY_ANEW = frozenset({"not charged", "cancelled", "service_unavailable"})
# What a shopper hears of a shop that is well: 402 is for a card that is refused, or has a second step.
FINE = frozenset({"200", "202", "204", "402"})


@dataclass(frozen=True)
class Acknowledged:
    """An order that the shop has confirmed to its buyer."""

    order_id: int
    checkout_token: str
    service: str
    total: int


@dataclass
class Shopper(Guest):
    """A guest whose page repeats a call that got no answer, or a 503, with the same Idempotency-Key."""

    heard: Counter[str] = field(default_factory=Counter)
    in_vain: Counter[str] = field(default_factory=Counter)  # why payments came to nothing
    patience: float = PATIENCE_SECONDS
    attempts: int = MOST_ATTEMPTS
    stripe: StripeStandIn | None = None

    async def call(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        if method == "POST":
            headers = {"Idempotency-Key": token_hex(16), **headers}
        async with asyncio.timeout(self.patience):
            while True:
                try:
                    answer = await super().call(method, path, json, **headers)
                except httpx.TransportError as problem:
                    self.heard[type(problem).__name__] += 1
                else:
                    self.heard[str(answer.status_code)] += 1
                    if not _wants_repeating(answer):
                        return answer
                await asyncio.sleep(GAP_SECONDS)

    async def buy(
        self, variant_id: int, *, service: str = "test", cards: Sequence[str] = ("ok",)
    ) -> Acknowledged:
        """From an empty cart to an order that the shop has confirmed. All cards but the last are refused."""
        checkout = await self.prepare(variant_id)
        total = checkout["totals"]["total"]
        for card in cards[:-1]:
            refused = await self.pay_until_known(total, service, card)
            assert (refused.status_code, refused.json()["code"]) == (402, "payment_declined"), refused.text
        for _ in range(self.attempts):
            answer = await self.pay_until_known(total, service, cards[-1])
            if answer.status_code == 204:
                order_id = int(answer.headers["location"].rpartition("/")[2])
                return Acknowledged(order_id, self.token, service, total)
            said = answer.json()
            if said["code"] == "second_step_required":
                order_id = await self._take_second_step(service, said["client_secret"])
                return Acknowledged(order_id, self.token, service, total)
            assert (answer.status_code, said["code"]) == (402, "payment_declined"), answer.text
            assert said.get("reason") in TRY_ANEW, answer.text
            self.heard["a payment that came to nothing"] += 1
            await asyncio.sleep(GAP_SECONDS)
            self.in_vain[said["reason"]] += 1
        raise AssertionError(f"paid {self.attempts} times in vain")

    async def _take_second_step(self, service: str, client_secret: str) -> int:
        """Show the bank who pays, come back, and look until the order is there."""
        assert self.stripe is not None
        self.stripe.authenticate(client_secret.partition("_secret_")[0])
        async with asyncio.timeout(self.patience):
            while True:
                await self.call("POST", f"/checkout/{self.token}/payment/{service}/confirm", {})
                checkout = await self.read_checkout()
                if checkout["state"] == "completed":
                    order_id: int = checkout["order"]["id"]
                    return order_id
                await asyncio.sleep(GAP_SECONDS)

    async def pay_until_known(self, total: int, service: str, card: str) -> httpx.Response:
        """One attempt under one key, until the shop knows what became of it."""
        key = token_hex(16)
        async with asyncio.timeout(self.patience):
            while True:
                headers = {"Idempotency-Key": key}
                answer = await self.pay(total, service=service, payment_token=card, **headers)
                if answer.status_code != 202:
                    return answer
                await asyncio.sleep(GAP_SECONDS)


def _wants_repeating(answer: httpx.Response) -> bool:
    return answer.status_code == 503 or (
        answer.status_code == 409 and answer.json()["code"] == "idempotency_in_progress"
    )


def make_shopper(stage: Stage, email: str = "ada@example.com", **more: Any) -> Shopper:
    return Shopper(stage.client, stage.store, stage.option_id, email=email, stripe=stage.stripe, **more)


async def buy(
    stage: Stage, *, service: str = "stripe", cards: Sequence[str] = (VISA,), variant: int = 0, **more: Any
) -> Acknowledged:
    """Somebody new buys one thing, and what they were told is kept on the stage."""
    shopper = make_shopper(stage, f"{token_hex(4)}@example.com", **more)
    told = await shopper.buy(stage.variants[variant], service=service, cards=cards)
    stage.acknowledged.append(told)
    return told


async def capture_late(stage: Stage) -> None:
    """Money for an attempt that the shop was told is over: a card that worked at Stripe after a refused one."""
    shopper = make_shopper(stage)
    checkout = await shopper.prepare(stage.variants[0])
    refused = await shopper.pay(
        checkout["totals"]["total"], service="stripe", payment_token="pm_card_chargeDeclined"
    )
    assert refused.status_code == 402, refused.text
    intent = list(stage.stripe.intents.values())[-1]
    assert stage.stripe.pay_on_page(intent["client_secret"], VISA) == "succeeded"
    (event,) = stage.stripe.events_of(intent["id"], "payment_intent.succeeded")
    taken = await stage.stripe.send(stage.client, event)
    assert taken.status_code == 200, taken.text


# How people pay: at Stripe at once, after a refused card, with a second step; and otherwise.
WAYS = (
    ("stripe", (VISA,)),
    ("stripe", (VISA,)),
    ("stripe", ("pm_card_chargeDeclined", "pm_card_mastercard")),
    ("stripe", ("pm_card_authenticationRequired",)),
    ("test", ("ok",)),
    ("test", ("late",)),
    ("manual", ("",)),
)


@dataclass
class Load:
    """A crowd that keeps buying; `bought` and `heard` grow while it does."""

    bought: int = 0
    heard: Counter[str] = field(default_factory=Counter)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Let everybody finish what they began."""
        self._over.set()

    async def shop(self, stage: Stage, dice: random.Random) -> None:
        while not self._over.is_set():
            service, cards = dice.choice(WAYS)
            variant = dice.randrange(len(stage.variants))
            await buy(stage, service=service, cards=cards, variant=variant, heard=self.heard)
            self.bought += 1


@asynccontextmanager
async def crowd(stage: Stage, *, people: int, seed: int) -> AsyncIterator[Load]:
    """So many people buy one thing after another while the block runs; at its end they finish.

    What one of them meets that no shopper should ends the block at once.
    """
    load = Load()
    dice = random.Random(seed)
    async with asyncio.TaskGroup() as group:
        for _ in range(people):
            group.create_task(load.shop(stage, random.Random(dice.random())))
        try:
            yield load
        finally:
            load.end()


@asynccontextmanager
async def webhooks(stage: Stage, *, seed: int = 1) -> AsyncIterator[None]:
    """Send what Stripe would while the block runs: each event until it is taken, in no order, some twice."""
    post = asyncio.create_task(_deliver(stage, random.Random(seed)))
    try:
        yield
    finally:
        post.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await post


async def _deliver(stage: Stage, dice: random.Random) -> None:
    sent = {event["id"] for event in stage.stripe.events}
    async with httpx.AsyncClient(base_url=str(stage.client.base_url), timeout=10) as client:
        while True:
            waiting = [event for event in stage.stripe.events if event["id"] not in sent]
            dice.shuffle(waiting)
            for event in waiting:
                try:
                    answer = await stage.stripe.send(client, event)
                except httpx.TransportError:
                    continue
                assert answer.status_code in (200, 503), answer.text
                if answer.status_code == 200 and dice.random() < 0.8:
                    sent.add(event["id"])
            await asyncio.sleep(GAP_SECONDS)
