"""kill -9 of server and worker at each step of placing an order: the buyer repeats, and all adds up."""

from tests.faults import truth
from tests.faults.launcher import STEPS
from tests.faults.shoppers import VISA, WAYS, buy, capture_late, webhooks
from tests.faults.stage import Stage
from tests.figures import Say

CARD = ("stripe", (VISA,))
AT_ONCE = ("manual", ("",))
# Steps that people come by who pay in another way, too.
ALSO_AT_ONCE = {"reserve_written", "reserve_committed", "placed"}


def steps(role: str, *beginnings: str) -> list[str]:
    return [step for whose, step, *_ in STEPS if whose == role and step.startswith(beginnings)]


async def test_the_shop_works_while_nothing_is_broken(stage: Stage, figure: Say) -> None:
    for service, cards in WAYS:
        await buy(stage, service=service, cards=cards)
    figure("nothing broken", await truth.check(stage))


async def test_a_server_falls_at_each_step_of_placing_an_order(stage: Stage, figure: Say) -> None:
    falls = [
        (step, way)
        for step in steps("serve", "reserve", "service", "intent", "charged", "placed", "settle")
        for way in ((CARD, AT_ONCE) if step in ALSO_AT_ONCE else (CARD,))
    ]
    for step, (service, cards) in falls:
        stage.set_trap("serve", step)
        await buy(stage, service=service, cards=cards)
        await stage.until_sprung("serve", step)
        found = await truth.check(stage)
    figure(f"kill -9 of a server at {len(falls)} steps of an order", found)


async def test_a_server_falls_while_it_takes_an_event(stage: Stage, figure: Say) -> None:
    falls = steps("serve", "event")
    for step in falls:
        stage.set_trap("serve", step)
        # The answer to the charge is lost, so that the event may be what settles it.
        stage.stripe.fail("confirm", "cut")
        async with webhooks(stage):
            await buy(stage)
            await stage.until_sprung("serve", step)
        found = await truth.check(stage)
    figure(f"kill -9 of a server at {len(falls)} steps of an event", found)


async def test_a_worker_falls_at_each_step_of_a_confirmation_mail(stage: Stage, figure: Say) -> None:
    falls = steps("worker", "job", "mail")
    for step in falls:
        stage.set_trap("worker", step)
        await buy(stage, service="test", cards=("ok",))
        await stage.until_sprung("worker", step)
        found = await truth.check(stage)
    figure(f"kill -9 of the worker at {len(falls)} steps of a mail", found)


async def test_a_worker_falls_at_each_step_of_asking_about_a_payment(stage: Stage, figure: Say) -> None:
    falls = steps("worker", "service", "settle")
    for step in falls:
        # The server that charged is gone, so the worker asks.
        stage.set_trap("serve", "charged")
        stage.set_trap("worker", step)
        await buy(stage)
        await stage.until_sprung("worker", step)
        found = await truth.check(stage)
    figure(f"kill -9 of the worker at {len(falls)} steps of a reconciliation", found)


async def test_a_worker_falls_at_each_step_of_a_refund(stage: Stage, figure: Say) -> None:
    falls = steps("worker", "refund")
    refunds = len(stage.stripe.refunds)
    for step in falls:
        stage.set_trap("worker", step)
        await capture_late(stage)
        await stage.until_sprung("worker", step)
        found = await truth.check(stage)
    figure(f"kill -9 of the worker at {len(falls)} steps of a refund", found)
    assert len(stage.stripe.refunds) == refunds + len(falls)
