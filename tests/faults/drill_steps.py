"""kill -9 of server and worker at each step of placing an order: the buyer repeats, and all adds up."""

import pytest

from tests.faults import truth
from tests.faults.figures import note
from tests.faults.launcher import STEPS
from tests.faults.shoppers import buy, deliver_webhooks, make_shopper
from tests.faults.stage import Stage

CARD = ("stripe", "pm_card_visa")
WAYS = {"reserve_written": (CARD, ("manual", "")), "reserve_committed": (CARD, ("manual", ""))}


def steps(role: str) -> list[str]:
    return [step for whose, step, *_ in STEPS if whose == role]


async def test_the_shop_works_while_nothing_is_broken(stage: Stage) -> None:
    for service, card in (CARD, ("test", "ok"), ("manual", "")):
        await buy(stage, service=service, card=card)
    note("nothing broken", await truth.check(stage))


@pytest.mark.parametrize(
    ("step", "service", "card"),
    [
        (step, *way)
        for step in steps("serve")
        if not step.startswith("event_")
        for way in WAYS.get(step, (CARD,))
    ],
)
async def test_a_server_falls_at_a_step_of_placing_an_order(
    stage: Stage, step: str, service: str, card: str
) -> None:
    stage.set_trap("serve", step)
    await buy(stage, service=service, card=card)
    await stage.until_sprung("serve", step)
    note(f"kill -9 of a server: {step}, {service}", await truth.check(stage))
