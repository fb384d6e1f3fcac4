"""kill -9 at every step of placing an order, all of them while people buy: the short form of drill_steps.py."""

import asyncio

from tests.faults import truth
from tests.faults.launcher import STEPS
from tests.faults.shoppers import capture_late, crowd, webhooks
from tests.faults.stage import Stage
from tests.figures import Say

SEED = 20260714
PEOPLE = 4
FALL_SECONDS = 180.0


async def test_server_and_worker_fall_at_every_step_while_people_buy(stage: Stage, figure: Say) -> None:
    at_once = [(role, step) for role, step, *_ in STEPS if not step.startswith("refund_")]
    one_by_one = [(role, step) for role, step, *_ in STEPS if step.startswith("refund_")]
    for role, step in at_once:
        stage.set_trap(role, step)
    async with webhooks(stage, seed=SEED), crowd(stage, people=PEOPLE, seed=SEED) as load:
        await asyncio.gather(*(stage.until_sprung(role, step, FALL_SECONDS) for role, step in at_once))
    # Each with money of its own to send back: a fall elsewhere cuts a refund off between two of its steps, and what
    # the service did by then is not done again.
    await stage.until_ready()
    for role, step in one_by_one:
        stage.set_trap(role, step)
        await capture_late(stage)
        await stage.until_sprung(role, step, FALL_SECONDS)
    found = await truth.check(stage)
    figure(f"kill -9 at each of {len(STEPS)} steps of an order", f"{load.bought} bought meanwhile; {found}")
