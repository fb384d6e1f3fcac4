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
    # Money to send back, so that somebody comes by the steps of a refund: more than once, since a fall elsewhere can
    # cut a refund off between two of them.
    for _ in range(8):
        await capture_late(stage)
    for role, step, *_ in STEPS:
        stage.set_trap(role, step)
    async with webhooks(stage, seed=SEED), crowd(stage, people=PEOPLE, seed=SEED) as load:
        await asyncio.gather(*(stage.until_sprung(role, step, FALL_SECONDS) for role, step, *_ in STEPS))
    found = await truth.check(stage)
    figure(f"kill -9 at each of {len(STEPS)} steps of an order", f"{load.bought} bought meanwhile; {found}")
