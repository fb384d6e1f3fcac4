"""Plans that are made while a shop is empty, which connections keep while it fills."""

import re

from app.db.statements import Statement
from app.domain.carts import queries, service
from app.domain.checkout import locking
from app.domain.checkout.queries import _GET_BY_ID, _LOCK_BY_ID
from app.domain.orders.service import _LOCK as _LOCK_ORDER
from app.domain.payments.service import _LOCK as _LOCK_PAYMENT

# A statement, and the column that it finds its rows by.
NAMED = (
    (queries._LOAD_BY_ID[True], "id"),
    (queries._LOAD_BY_ID[False], "id"),
    (service._TAKE_OUT, "order_id"),
    (locking._LOCK, "id"),
    (locking._LOCK_TO_BUY, "id"),
    (_GET_BY_ID._statement, "id"),
    (_LOCK_BY_ID._statement, "id"),
    (_LOCK_ORDER._statement, "id"),
    (_LOCK_PAYMENT._statement, "id"),
)
_BY_STORE_ALONE = re.compile(r"Index Cond: \(store_id = \$\d+\)\n")


async def plan_of(driver, statement: Statement) -> str:
    await driver.execute(f"PREPARE early AS {statement._sql}")
    nothing = ", ".join(["NULL"] * len(statement._names))
    lines = await driver.fetch(f"EXPLAIN (COSTS off) EXECUTE early({nothing})")
    await driver.execute("DEALLOCATE early")
    return "\n".join(line for (line,) in lines) + "\n"


async def test_what_is_named_by_its_id_is_found_by_it_with_a_plan_of_the_first_minute(empty_sessions):
    async with empty_sessions.kw["bind"].connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        # As once there are some rows: of none at all, PostgreSQL reads the whole table.
        await driver.execute("VACUUM ANALYZE")
        await driver.execute("SET enable_seqscan = off")
        await driver.execute("SET plan_cache_mode = force_generic_plan")
        for statement, name in NAMED:
            plan = await plan_of(driver, statement)
            assert not _BY_STORE_ALONE.search(plan), plan
            assert re.search(rf"Index Cond: \({name} = (\$\d+|k.cart_id)\)\n", plan), plan
