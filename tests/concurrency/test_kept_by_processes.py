"""Two server processes that keep answers: what is changed past them, or by one of them, all of them show."""

import asyncio
import time

import httpx
from sqlalchemy import text

from app.db.session import transaction
from app.db.versions import FRESH_SECONDS
from tests.api.catalogue_shop import fill

ASKED_AT_ONCE = 8


async def prices(address: str, code: str) -> list[tuple[float, int]]:
    """When each of some new connections asked, and the price that it was told; whichever process it came to."""

    async def ask() -> tuple[float, int]:
        async with httpx.AsyncClient(base_url=address, headers={"X-Store": code}, timeout=30) as client:
            asked = time.monotonic()
            answer = await client.get("/storefront/v1/products/kettle")
            return asked, answer.json()["variants"][0]["price"]

    return list(await asyncio.gather(*(ask() for _ in range(ASKED_AT_ONCE))))


async def test_a_second_after_a_price_changed_no_process_answers_the_old_one(servers, sessions, store):
    await fill(sessions, store)
    for price in (100, 200, 300):
        for _ in range(3):
            await prices(servers, store.code)  # each process has it by now
        async with transaction(sessions) as session:
            await session.execute(
                text("UPDATE variants SET price = :price WHERE store_id = :store"),
                {"price": price, "store": store.id},
            )
        changed = time.monotonic()
        told: list[tuple[float, int]] = []
        while not told or told[-1][0] < changed + 1.2 * FRESH_SECONDS:
            told += await prices(servers, store.code)
        late = [found for asked, found in told if asked >= changed + FRESH_SECONDS]
        assert late
        assert set(late) == {price}


async def test_whoever_has_bought_sees_the_stock_fall_from_whichever_process(crowd, servers, sessions, store):
    await fill(sessions, store)
    guest = crowd(1)[0]
    headers = {"X-Store": store.code}
    async with httpx.AsyncClient(base_url=servers, headers=headers, timeout=30) as client:
        kettle = (await client.get("/storefront/v1/products/kettle")).json()["variants"][0]
    for sold in (1, 2, 3):
        guest.cart_uuid = ""
        checkout = await guest.prepare(kettle["id"])
        await prices(servers, store.code)
        paid = await guest.pay(checkout["totals"]["total"], service="manual")
        assert paid.status_code == 204, paid.text
        async with httpx.AsyncClient(base_url=servers, headers=headers, timeout=30) as client:
            answers = [(await client.get("/storefront/v1/products/kettle")).json() for _ in range(3)]
        left = {answer["variants"][0]["inventory_quantity"] for answer in answers}
        assert left == {kettle["inventory_quantity"] - sold}
