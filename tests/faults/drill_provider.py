"""Stripe gone, silent, failing before or after it charged, or its events lost: paid is paid, and once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from tests.concurrency.tally import in_batches
from tests.faults import truth
from tests.faults.form import Form
from tests.faults.parts import wait_until
from tests.faults.place import Place
from tests.faults.shoppers import TRY_ANEW, Acknowledged, Shopper, buy, make_shopper
from tests.figures import Say

MANY = 10_000
PEOPLE = 5  # at a time


@asynccontextmanager
async def gone(place: Place) -> AsyncIterator[None]:
    place.stripe.cut()
    try:
        yield
    finally:
        place.stripe.mend()


def failing(*faults: tuple[str, str]) -> Callable[[Place], AbstractAsyncContextManager[None]]:
    """Every call of a kind meets its fault."""

    @asynccontextmanager
    async def broken(place: Place) -> AsyncIterator[None]:
        for call, fault in faults:
            place.stage.stripe.fail(call, *[fault] * MANY)
        try:
            yield
        finally:
            place.stage.stripe.clear_faults()
            place.stage.stripe.release()

    return broken


Fault = Callable[[Place], AbstractAsyncContextManager[None]]
FAULTS: dict[str, Fault] = {
    "gone": gone,
    "silent from the first call on": failing(("create", "hang")),
    "silent after it charged": failing(("confirm", "hang")),
    "answering 500 to everything": failing(("create", "error"), ("confirm", "error"), ("retrieve", "error")),
    "answering 500 after it charged": failing(("confirm", "error_after"), ("retrieve", "error")),
    "hanging up after it charged": failing(("confirm", "cut"), ("retrieve", "cut")),
    "answering 429": failing(("confirm", "limit"), ("retrieve", "limit")),
}
# One of each: away, silent and failing, the latter two with the money taken.
SHORT = ("gone", "silent after it charged", "answering 500 after it charged")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "what" in metafunc.fixturenames:
        metafunc.parametrize("what", FAULTS if metafunc.config.getoption("--full") else SHORT)


async def test_whatever_stripe_does_each_order_is_paid_once(
    place: Place, form: Form, what: str, figure: Say
) -> None:
    """People who pay by card meanwhile keep their patience; those who pay otherwise need none."""
    stage = place.stage
    await stage.until_ready()
    before = place.running()
    people = 2 * form.restarts
    heard: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group, FAULTS[what](place):
        by_card = [group.create_task(buy(stage, heard=heard, attempts=MANY)) for _ in range(people)]
        others = [await buy_at_once(place, service) for service in ("test", "manual") * 2]
        # 202 is "not known yet", 402 "it came to nothing"; some the worker has found out about meanwhile.
        await wait_until(
            lambda: over(heard["202"] + heard["402"] + sum(one.done() for one in by_card) >= people),
            "everybody has met it",
            said=stage.said,
        )
    bought = [one.result() for one in by_card]
    assert place.running() == before, "no process of the shop was started anew"
    found = await truth.check(stage)
    assert set(heard) <= {"200", "202", "204", "402", "a payment that came to nothing"}, heard
    assert len({one.order_id for one in bought}) == people
    figure(f"Stripe {what}", f"{people} by card afterwards, {len(others)} otherwise meanwhile; {found}")


async def over(state: bool) -> bool:
    return state


async def buy_at_once(place: Place, service: str) -> Acknowledged:
    """Another way to pay is in no trouble: nothing is refused, nothing comes to nothing."""
    heard: Counter[str] = Counter()
    told = await buy(place.stage, service=service, cards=("ok",), heard=heard)
    assert set(heard) <= {"200", "202", "204"}, heard
    return told


async def test_with_every_event_and_every_return_lost_each_payment_becomes_an_order(
    place: Place, form: Form, figure: Say
) -> None:
    """People close the page after their bank has let them pay; only the worker can find that out."""
    stage = place.stage
    await stage.until_ready()
    people = 4 * form.restarts
    guests = [make_shopper(stage, f"closed{number}@example.com") for number in range(people)]

    async def leave(guest: Shopper) -> str:
        checkout = await guest.prepare(stage.variants[1])
        while True:
            answer = await guest.pay_until_known(
                checkout["totals"]["total"], "stripe", "pm_card_authenticationRequired"
            )
            said = answer.json()
            if said["code"] == "second_step_required":
                break
            assert said.get("reason") in TRY_ANEW, answer.text
        reference: str = said["client_secret"].partition("_secret_")[0]
        return reference

    for reference in await in_batches((leave(guest) for guest in guests), size=PEOPLE):
        stage.stripe.authenticate(reference)
    found = await truth.check(stage)
    states = [(await guest.read_checkout())["state"] for guest in guests]
    assert states == ["completed"] * people
    figure(f"every webhook and every return of {people} shoppers lost", str(found))
