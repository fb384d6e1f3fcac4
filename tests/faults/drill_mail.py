"""The mail server gone, busy or silent: no order waits for it, and each mail goes out once when it is back."""

from collections import Counter

import pytest

from tests.faults import truth
from tests.faults.drill_kills import until_more_is_bought
from tests.faults.form import Form
from tests.faults.parts import wait_until
from tests.faults.place import Place
from tests.faults.shoppers import FINE, crowd, webhooks
from tests.figures import Say

PEOPLE = 3


@pytest.mark.parametrize("mood", ["gone", "busy", "silent"])
async def test_no_order_waits_for_the_mail_server_and_each_mail_goes_out_once(
    place: Place, form: Form, mood: str, figure: Say
) -> None:
    stage, mail = place.stage, place.mail
    await stage.until_ready()
    await truth.settle(stage)
    before = place.running()
    began = len(stage.acknowledged)
    taken = len(mail.taken)
    mail.mood, mail.met = mood, 0
    try:
        async with webhooks(stage), crowd(stage, people=PEOPLE, seed=len(mood)) as load:
            await until_more_is_bought(stage, load, 3 * form.restarts)
            await wait_until(lambda: turned_away(place), "mails are turned away", said=stage.said)
            assert len(mail.taken) == taken
    finally:
        mail.recover()
    assert set(load.heard) <= FINE, load.heard
    assert place.running() == before, "no process of the shop was started anew"
    found = await truth.check(stage)
    bought = stage.acknowledged[began:]
    assert len(bought) == load.bought
    await check_mails(place)
    figure(f"mail server {mood}", f"{load.bought} bought meanwhile, each mail once afterwards; {found}")


async def turned_away(place: Place) -> bool:
    return place.mail.met > 0


async def check_mails(place: Place) -> None:
    """One confirmation for each order that there is, and each to its buyer."""
    rows = await place.stage.rows(
        "SELECT j.id, o.email FROM orders o JOIN jobs j "
        "ON j.kind = 'orders.confirm' AND j.dedupe_key = 'order-' || o.id WHERE o.status <> 'pending'"
    )
    wanted = Counter((f"order_confirmation-{row['id']}", row["email"]) for row in rows)

    async def all_have_come() -> bool:
        return len(place.mail.taken) >= len(wanted)

    await wait_until(all_have_come, "the mails have come", said=place.stage.said)
    sent = Counter((str(one["Message-ID"])[1:].partition("@")[0], str(one["To"])) for one in place.mail.taken)
    assert sent == wanted
