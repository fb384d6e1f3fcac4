"""The controls of the drills: what they look for is seen where it is planted."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.faults import truth
from tests.faults.shoppers import buy
from tests.faults.stage import Stage


@contextmanager
def planted(things: list, thing):
    things.append(thing)
    try:
        yield
    finally:
        things.remove(thing)


async def test_money_orders_and_mails_that_are_not_there_are_noticed(stage: Stage) -> None:
    told = await buy(stage)
    await truth.check(stage)
    taken = stage.stripe.log[-1]
    with planted(stage.stripe.log, replace(taken)), pytest.raises(AssertionError, match="charged twice"):
        await truth.check(stage)
    unknown = replace(taken, reference="pi_unknown", attempt="of nobody")
    with planted(stage.stripe.log, unknown), pytest.raises(AssertionError, match="pi_unknown"):
        await truth.check(stage)
    with (
        planted(stage.acknowledged, replace(told, order_id=told.order_id + 1_000_000)),
        pytest.raises(AssertionError),
    ):
        await truth.check(stage)
    (mail,) = stage.mails.glob(f"order_confirmation-{max(mails(stage))}-*.eml")
    words = mail.read_bytes()
    mail.unlink()
    with pytest.raises(AssertionError):
        await truth.check(stage)
    mail.write_bytes(words)
    await truth.check(stage)


def mails(stage: Stage) -> list[int]:
    return [int(path.name.split("-")[1]) for path in stage.mails.glob("order_confirmation-*.eml")]
