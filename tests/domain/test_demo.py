"""The demo shop comes into an empty store by itself, once, and its pictures follow the shop."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from app.cli.demo import load_demo_if_empty
from app.db.session import database_address
from app.settings import load_settings
from tests.conftest import fresh_database

FIGURES = """
SELECT (SELECT count(*) FROM products), (SELECT count(*) FROM collections), (SELECT count(*) FROM categories),
    (SELECT count(*) FROM blog_posts), (SELECT count(*) FROM pages), (SELECT count(*) FROM product_reviews),
    (SELECT count(*) FROM product_questions WHERE type = 'answer'), (SELECT sum(on_hand) FROM stock_items)
"""


@pytest.fixture
async def settings(database_server):
    """Settings with a migrated database that nobody else has."""
    async with fresh_database(database_server) as url:
        yield load_settings({"DATABASE_URL": url})


async def load(settings):
    await asyncio.to_thread(load_demo_if_empty, settings)


async def ask(settings, statement):
    connection = await asyncpg.connect(database_address(settings.database_url).asyncpg)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


async def test_the_demo_shop_fills_an_empty_store_once(settings, capsys):
    await load(settings)
    figures = tuple((await ask(settings, FIGURES))[0])
    assert figures[0] >= 150
    assert all(figures)
    assert "The demo shop is loaded" in capsys.readouterr().out

    breaches = await ask(
        settings,
        """
        SELECT s.product_id FROM review_stats s LEFT JOIN product_reviews r
            ON r.store_id = s.store_id AND r.product_id = s.product_id AND r.status = 'approved'
        GROUP BY s.store_id, s.product_id
        HAVING s.count <> count(r.id) OR s.rating <> coalesce(round(avg(r.rating), 2), 0)
        """,
    )
    assert breaches == []
    sources = await ask(settings, "SELECT DISTINCT src FROM product_images")
    assert all(row["src"].startswith("http://localhost:8000/demo/images/") for row in sources)
    unfilled = await ask(
        settings,
        "SELECT handle FROM collections c WHERE NOT EXISTS "
        "(SELECT FROM collection_products m WHERE m.collection_id = c.id)",
    )
    assert unfilled == []

    await load(settings)
    assert tuple((await ask(settings, FIGURES))[0]) == figures
    assert capsys.readouterr().out == ""


async def test_the_pictures_follow_the_address_of_the_shop(settings):
    await load(settings)
    await load(replace(settings, public_url="http://localhost:9001"))
    beginnings = await ask(
        settings,
        "SELECT DISTINCT left(src, 32) AS b FROM product_images "
        "UNION SELECT DISTINCT left(media->>'src', 32) FROM blog_posts",
    )
    assert [row["b"] for row in beginnings] == ["http://localhost:9001/demo/image"]
    stale = await ask(settings, "SELECT 1 FROM variant_documents WHERE core LIKE '%:8000/%'")
    assert stale == []


async def test_a_load_that_was_cut_off_is_finished_by_the_next_start(settings):
    await load(settings)
    figures = tuple((await ask(settings, FIGURES))[0])
    await ask(settings, 'UPDATE stores SET settings = settings || \'{"demo": "loading"}\'')
    await ask(settings, "DELETE FROM products WHERE id % 3 = 0")
    await load(settings)
    again = tuple((await ask(settings, FIGURES))[0])
    assert again[:5] == figures[:5]
    assert again[5] == figures[5]


async def test_production_is_never_filled(settings):
    await load(replace(settings, env="production"))
    assert (await ask(settings, "SELECT count(*) FROM products"))[0][0] == 0
