"""A shop that is upgraded keeps its tax rates, in a finer unit: those it charges, those it sold at, those being paid."""

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from app.db.migrations import migrate
from app.db.session import database_address
from tests.conftest import fresh_database

# Two lines, as a checkout freezes them; the order of the lines is part of what was bought.
_PRICED = {
    "quote": {
        "currency": "USD",
        "lines": [
            {"line": {"variant_id": 2}, "tax": 83, "tax_rate": 825},
            {"line": {"variant_id": 1}, "tax": 0, "tax_rate": 0},
        ],
        "tax": 83,
    },
    "choices": [],
}
_SOLD = f"""
INSERT INTO stores (code, name, email, currency, language, country)
VALUES ('hut', 'Hut', 'hut@example.com', 'USD', 'en', 'US');
INSERT INTO tax_rates (store_id, country, name, rate)
SELECT id, place, 'Tax', rate FROM stores, (VALUES ('US', 825), ('DE', 0)) AS known (place, rate);
INSERT INTO carts (store_id, uuid, currency, updated_at, expires_at)
SELECT id, gen_random_uuid(), 'USD', now(), now() FROM stores, generate_series(1, 3);
INSERT INTO checkouts (store_id, token, cart_id, state, currency, frozen, updated_at, expires_at)
SELECT store_id, 'token-' || id, id, (ARRAY['open', 'paying', 'completed'])[id], 'USD',
    CASE WHEN id > 1 THEN '{json.dumps(_PRICED)}'::jsonb END, now(), now() FROM carts;
INSERT INTO orders (store_id, checkout_id, checkout_token, email, currency, tax_included, items_total, discount_total,
    shipping_total, tax_total, total)
SELECT store_id, id, token, 'ada@example.com', 'USD', false, 0, 0, 0, 0, 0 FROM checkouts WHERE state = 'paying';
INSERT INTO order_lines (store_id, order_id, position, variant_id, product_id, title, variant_title, quantity,
    price, line_price, discount, tax, tax_rate, grams, requires_shipping)
SELECT store_id, id, n, n, 1, '', '', 1, 1000, 1000, 0, 0, (3 - n) * 825, 0, true FROM orders, generate_series(2, 3) n;
"""


async def rates_of(shop: asyncpg.Connection, column: str) -> dict[str, list]:
    """Every rate that a shop holds, by where it does."""
    frozen = await shop.fetch("SELECT state, frozen FROM checkouts ORDER BY id")
    return {
        "charged": [row[0] for row in await shop.fetch(f"SELECT {column} FROM tax_rates ORDER BY id")],
        "sold at": [row[0] for row in await shop.fetch("SELECT tax_rate FROM order_lines ORDER BY position")],
        **{row["state"]: row["frozen"] and json.loads(row["frozen"]) for row in frozen},
    }


def frozen_at(rate: int) -> dict:
    taxed, other = _PRICED["quote"]["lines"]
    return {**_PRICED, "quote": {**_PRICED["quote"], "lines": [{**taxed, "tax_rate": rate}, other]}}


def at(rate: int) -> dict[str, list]:
    frozen = frozen_at(rate)
    return {
        "charged": [rate, 0],
        "sold at": [rate, 0],
        "open": None,
        "paying": frozen,
        "completed": frozen,
    }


@pytest.fixture
async def database(database_server: str) -> AsyncIterator[str]:
    async with fresh_database(database_server) as url:
        yield url


@pytest.fixture
async def shop(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A shop of the version before."""
    await migrate(database, "0039", down=True)
    shop = await asyncpg.connect(database_address(database).asyncpg)
    try:
        await shop.execute(_SOLD)
        yield shop
    finally:
        await shop.close()
        await migrate(database)


async def test_an_upgrade_keeps_every_rate_and_a_finer_one_is_not_lost_on_the_way_back(database, shop):
    await migrate(database, "0040")
    assert await rates_of(shop, "rate_ppm") == at(82_500)
    # A server of the version before finds no rate that it would take for a hundred times as much.
    with pytest.raises(asyncpg.UndefinedColumnError):
        await shop.fetch("SELECT rate FROM tax_rates")

    await shop.execute("UPDATE tax_rates SET rate_ppm = 66250 WHERE rate_ppm > 0")
    await shop.execute("UPDATE order_lines SET tax_rate = 66250 WHERE tax_rate > 0")
    with pytest.raises(DBAPIError, match=r"finer than 0\.01 percent"):
        await migrate(database, "0039", down=True)
    assert (await rates_of(shop, "rate_ppm"))["charged"] == [66_250, 0]

    await shop.execute("UPDATE tax_rates SET rate_ppm = 82500 WHERE rate_ppm > 0")
    await migrate(database, "0039", down=True)
    # What was sold at 6.625 % says 6.63 %, its tax as it was.
    assert await rates_of(shop, "rate") == {**at(825), "sold at": [663, 0]}
