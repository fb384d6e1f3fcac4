"""The answer to a COMMIT is lost, and the client repeats under its key: one cart line, one order, one charge."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

from tests.faults import truth
from tests.faults.form import Form
from tests.faults.shoppers import WAYS, buy, webhooks
from tests.faults.stage import PRICES, SHIPPING, Stage
from tests.figures import Say
from tests.standins.postgres_line import Cut, postgres_line

SEED = 20260713
SIDE_BY_SIDE = 4
# Each of these is done once in the life of a checkout, so that each COMMIT is cut once.
MARKS = {
    "a cart line": "INSERT INTO cart_lines",
    "a checkout": "INSERT INTO checkouts",
    "a pending order": "INSERT INTO orders",
    "a settlement": "INSERT INTO ledger_transactions",
}


def choose(ran: Sequence[str]) -> Cut | None:
    """The last mark that a transaction has, as orders that are placed at once have two."""
    found = [what for what, mark in MARKS.items() if any(mark in statement for statement in ran)]
    return Cut("after", found[-1]) if found else None


async def test_a_lost_answer_to_commit_makes_nothing_twice(stage: Stage, form: Form, figure: Say) -> None:
    began = len(stage.acknowledged)
    dice = random.Random(SEED)
    in_vain: Counter[str] = Counter()
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def buy_one(number: int) -> None:
        async with places:
            service, cards = dice.choice(WAYS)
            variant = number % len(PRICES)
            told = await buy(stage, service=service, cards=cards, variant=variant, in_vain=in_vain)
            assert told.total == PRICES[variant] + SHIPPING, "one thing, put into the cart once"

    async with postgres_line(stage.postgres.url, choose) as line:
        await stage.restart(DATABASE_URL=line.url)
        async with webhooks(stage, seed=SEED), asyncio.TaskGroup() as group:
            for number in range(form.commits):
                group.create_task(buy_one(number))
        lost = line.lost
        await stage.restart()
    found = await truth.check(stage)
    assert len(stage.acknowledged) - began == form.commits
    assert not in_vain["not charged"], "the first key is enough"
    assert lost["a cart line"] >= form.commits
    assert lost["a checkout"] >= form.commits
    # One transaction places an order that is not paid for at a service.
    assert lost["a pending order"] + lost["a settlement"] >= form.commits
    figure(f"COMMIT's answer lost {lost.total()} times for {form.commits} checkouts", found)
