"""PostgreSQL restarted while people buy: every order that was acknowledged is there, and the shop goes on."""

from tests.faults import truth
from tests.faults.drill_kills import until_more_is_bought
from tests.faults.form import Form
from tests.faults.shoppers import crowd, webhooks
from tests.faults.stage import Stage
from tests.figures import Say

SEED = 20260712
PEOPLE = 4


async def test_every_acknowledged_order_is_there_after_postgres_was_restarted(
    stage: Stage, form: Form, figure: Say
) -> None:
    await stage.until_ready()
    before = running(stage)
    began = len(stage.acknowledged)
    async with webhooks(stage, seed=SEED), crowd(stage, people=PEOPLE, seed=SEED) as load:
        for number in range(form.restarts):
            await until_more_is_bought(stage, load, PEOPLE)
            await stage.stop_postgres(immediate=number % 2 == 0)
            await stage.start_postgres()
        await until_more_is_bought(stage, load, 2 * PEOPLE)
    found = await truth.check(stage)
    assert len(stage.acknowledged) - began == load.bought
    assert running(stage) == before, "no process of the shop was started anew"
    figure(
        f"PostgreSQL restarted {form.restarts} times under load", f"{load.bought} bought meanwhile; {found}"
    )


def running(stage: Stage) -> set[int]:
    return {stage.server.pid, stage.worker.pid, *stage.server.children()}
