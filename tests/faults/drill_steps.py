"""kill -9 of server and worker at each step of placing an order: the buyer repeats, and all adds up."""

from tests.faults import truth
from tests.faults.figures import Form, note
from tests.faults.launcher import STEPS
from tests.faults.shoppers import buy, make_shopper, webhooks
from tests.faults.stage import Stage

CARD = ("stripe", "pm_card_visa")
AT_ONCE = ("manual", "")
# Steps that people come by who pay in another way, too.
ALSO_AT_ONCE = {"reserve_written", "reserve_committed", "mail_queued"}


def steps(role: str, *beginnings: str) -> list[str]:
    return [step for whose, step, *_ in STEPS if whose == role and step.startswith(beginnings)]


async def check(stage: Stage, what: str, form: Form, *, last: bool) -> None:
    """After each fall, or in the short form after the last one, whose sum says the same with less waiting."""
    if form.look_each_time or last:
        found = await truth.check(stage)
        if last:
            note(what, found)


async def test_the_shop_works_while_nothing_is_broken(stage: Stage) -> None:
    for service, card in (CARD, ("test", "ok"), AT_ONCE):
        await buy(stage, service=service, card=card)
    note("nothing broken", await truth.check(stage))


async def test_a_server_falls_at_each_step_of_placing_an_order(stage: Stage, form: Form) -> None:
    falls = [
        (step, way)
        for step in steps("serve", "reserve", "service", "intent", "charged", "mail", "settle")
        for way in ((CARD, AT_ONCE) if step in ALSO_AT_ONCE else (CARD,))
    ]
    for number, (step, (service, card)) in enumerate(falls, 1):
        stage.set_trap("serve", step)
        await buy(stage, service=service, card=card)
        await stage.until_sprung("serve", step)
        what = f"kill -9 of a server at {number} steps of an order"
        await check(stage, what, form, last=number == len(falls))


async def test_a_server_falls_while_it_takes_an_event(stage: Stage, form: Form) -> None:
    falls = steps("serve", "event")
    for number, step in enumerate(falls, 1):
        stage.set_trap("serve", step)
        # The answer to the charge is lost, so that the event may be what settles it.
        stage.stripe.fail("confirm", "cut")
        async with webhooks(stage):
            await buy(stage, service="stripe", card="pm_card_visa")
            await stage.until_sprung("serve", step)
        what = f"kill -9 of a server at {number} steps of an event"
        await check(stage, what, form, last=number == len(falls))


async def test_a_worker_falls_at_each_step_of_a_confirmation_mail(stage: Stage, form: Form) -> None:
    falls = steps("worker", "job", "mail")
    for number, step in enumerate(falls, 1):
        stage.set_trap("worker", step)
        await buy(stage, service="test", card="ok")
        await stage.until_sprung("worker", step)
        what = f"kill -9 of the worker at {number} steps of a mail"
        await check(stage, what, form, last=number == len(falls))


async def test_a_worker_falls_at_each_step_of_asking_about_a_payment(stage: Stage, form: Form) -> None:
    falls = steps("worker", "service", "settle")
    for number, step in enumerate(falls, 1):
        # The server that charged is gone, so the worker asks.
        stage.set_trap("serve", "charged")
        stage.set_trap("worker", step)
        await buy(stage, service="stripe", card="pm_card_visa")
        await stage.until_sprung("worker", step)
        what = f"kill -9 of the worker at {number} steps of a reconciliation"
        await check(stage, what, form, last=number == len(falls))


async def test_a_worker_falls_at_each_step_of_a_refund(stage: Stage, form: Form) -> None:
    falls = steps("worker", "refund")
    refunds = len(stage.stripe.refunds)
    for number, step in enumerate(falls, 1):
        stage.set_trap("worker", step)
        await capture_late(stage)
        await stage.until_sprung("worker", step)
        what = f"kill -9 of the worker at {number} steps of a refund"
        await check(stage, what, form, last=number == len(falls))
    assert len(stage.stripe.refunds) == refunds + len(falls)


async def capture_late(stage: Stage) -> None:
    """Money for an attempt that the shop was told is over: a card that worked at Stripe after a refused one."""
    shopper = make_shopper(stage)
    checkout = await shopper.prepare(stage.variants[0])
    refused = await shopper.pay(
        checkout["totals"]["total"], service="stripe", payment_token="pm_card_chargeDeclined"
    )
    assert refused.status_code == 402, refused.text
    intent = list(stage.stripe.intents.values())[-1]
    assert stage.stripe.pay_on_page(intent["client_secret"], "pm_card_visa") == "succeeded"
    (event,) = stage.stripe.events_of(intent["id"], "payment_intent.succeeded")
    taken = await stage.stripe.send(stage.client, event)
    assert taken.status_code == 200, taken.text
