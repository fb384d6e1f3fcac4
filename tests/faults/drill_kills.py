"""kill -9 at random of server processes, their parent and the worker, while people buy."""

import random

from tests.faults import truth
from tests.faults.form import Form
from tests.faults.parts import wait_until
from tests.faults.shoppers import Load, crowd, webhooks
from tests.faults.stage import Stage, kill
from tests.figures import Say

SEED = 20260711
PEOPLE = 4
# Who falls, by weight: a server process mostly, all of them with their parent now and then.
VICTIMS = ("server process",) * 5 + ("worker",) * 2 + ("server",)


async def test_nothing_paid_is_lost_and_nothing_charged_twice_whoever_falls(
    stage: Stage, form: Form, figure: Say
) -> None:
    dice = random.Random(SEED)
    began = len(stage.acknowledged)
    fallen = 0
    async with webhooks(stage, seed=SEED), crowd(stage, people=PEOPLE, seed=SEED) as load:
        while fallen < form.kills:
            await until_more_is_bought(stage, load, dice.randint(1, PEOPLE))
            fallen += kill(victim(stage, dice))
    found = await truth.check(stage)
    assert len(stage.acknowledged) - began == load.bought
    figure(f"kill -9 {fallen} times under load", f"{load.bought} bought meanwhile; {found}")


def victim(stage: Stage, dice: random.Random) -> int:
    who = dice.choice(VICTIMS)
    if who == "worker":
        return stage.worker.pid
    children = stage.server.children()
    return dice.choice(children) if children and who == "server process" else stage.server.pid


async def until_more_is_bought(stage: Stage, load: Load, orders: int) -> None:
    """Let so many orders be placed first, so that a shop that stays down is seen."""
    wanted = load.bought + orders

    async def more() -> bool:
        return load.bought >= wanted

    await wait_until(more, f"people go on buying ({load.heard})", said=stage.said)
