"""What an import leaves in the store: the figures of real files, updates that touch only what differs, stock."""

import json
from collections import Counter
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.db.session import create_engine, transaction
from app.domain.catalogue.shopify_csv import Row, open_table
from tests.conftest import SHARED_DATA, make_store
from tests.domain.product_files import csv_bytes, load_file, table_bytes

FOLDER = SHARED_DATA / "catalogue-shopify"
EXPECTED = SHARED_DATA / "EXPECTED.json"
FILES = sorted(json.loads(EXPECTED.read_text())["shopify"]) if EXPECTED.is_file() else ["(no shared data)"]

# Every figure that can be read back from the store.
FIGURES = """
WITH p AS (SELECT * FROM products WHERE store_id = :s), v AS (SELECT * FROM variants WHERE store_id = :s),
i AS (SELECT product_id, count(*) AS n FROM product_images WHERE store_id = :s GROUP BY product_id),
k AS (SELECT on_hand FROM stock_items WHERE store_id = :s)
SELECT (SELECT count(*) FROM p) AS products, (SELECT count(*) FROM v) AS variants,
    (SELECT coalesce(sum(n), 0)::int FROM i) AS distinct_images,
    (SELECT max(n) FROM i) AS max_images_on_one_product,
    (SELECT count(*) FROM p WHERE NOT EXISTS (SELECT FROM i WHERE i.product_id = p.id)) AS products_without_image,
    (SELECT max(n) FROM (SELECT count(*) AS n FROM v GROUP BY product_id) x) AS max_variants_on_one_product,
    (SELECT count(*) FROM p WHERE NOT published) AS unpublished_products,
    (SELECT sum(price)::bigint FROM v) AS price_sum, (SELECT min(price) FROM v) AS price_min,
    (SELECT max(price) FROM v) AS price_max,
    (SELECT count(*) FROM v WHERE price = 0) AS zero_price_variants,
    (SELECT count(*) FROM v WHERE compare_at_price IS NOT NULL) AS compare_at_variants,
    (SELECT count(*) FROM v WHERE compare_at_price <= price) AS compare_at_not_above_price,
    (SELECT sum(on_hand)::int FROM k) AS inventory_qty_sum,
    (SELECT count(*) FROM k WHERE on_hand < 0) AS negative_qty_variants,
    (SELECT count(*) FROM (SELECT FROM v WHERE sku <> '' GROUP BY sku HAVING count(*) > 1) x)
        AS sku_values_used_by_more_than_one_variant,
    (SELECT count(*) FROM v WHERE sku = '') AS variants_without_sku,
    (SELECT count(DISTINCT tag) FROM p, unnest(tags) AS t (tag)) AS distinct_tags,
    (SELECT count(DISTINCT vendor) FROM p WHERE vendor <> '') AS distinct_vendors,
    (SELECT count(DISTINCT type_id) FROM p) AS distinct_types,
    (SELECT count(*) FROM (SELECT FROM p GROUP BY title HAVING count(*) > 1) x) AS titles_shared_by_several_handles
"""
OPTION_COUNTS = """
SELECT n, count(*) FROM (
    SELECT count(*) AS n FROM product_options WHERE store_id = :s GROUP BY product_id
) x GROUP BY n
"""
DEFAULT_ONLY = """
SELECT count(*) FROM products p WHERE store_id = :s
  AND ARRAY(SELECT title FROM variants v WHERE v.product_id = p.id) = ARRAY['Default Title']
"""
# Whatever a second run must not touch: every row with its times and versions.
STATE = """
SELECT md5(string_agg(line, '|' ORDER BY line)) FROM (
    SELECT row_to_json(x)::text AS line FROM products x WHERE store_id = :s
    UNION ALL SELECT row_to_json(x)::text FROM variants x WHERE store_id = :s
    UNION ALL SELECT row_to_json(x)::text FROM product_options x WHERE store_id = :s
    UNION ALL SELECT row_to_json(x)::text FROM option_values x WHERE store_id = :s
    UNION ALL SELECT row_to_json(x)::text FROM variant_values x WHERE store_id = :s
    UNION ALL SELECT row_to_json(x)::text FROM product_images x WHERE store_id = :s
    UNION ALL SELECT row_to_json(x)::text FROM market_prices x WHERE store_id = :s
    UNION ALL SELECT row_to_json(x)::text FROM product_documents x WHERE store_id = :s
    UNION ALL SELECT row_to_json(x)::text FROM variant_documents x WHERE store_id = :s
    UNION ALL SELECT row_to_json(x)::text FROM stock_items x WHERE store_id = :s
    UNION ALL SELECT row_to_json(x)::text FROM stock_movements x WHERE store_id = :s
) rows
"""
# on_hand is the sum of the movements, for every variant.
STOCK_BREACHES = """
SELECT count(*) FROM stock_items k WHERE store_id = :s AND on_hand <> (
    SELECT coalesce(sum(delta), 0) FROM stock_movements m WHERE m.store_id = :s AND m.variant_id = k.variant_id
)
"""
MUGS = """
Handle | Title | Vendor | Option1 Name | Option1 Value | Variant SKU | Variant Price | Variant Inventory Tracker | Variant Inventory Qty | Variant Inventory Policy | Image Src
mug    | Mug   | Kiln   | Size         | S             | M-S         | 5             | shopify                   | 10                    | deny                     | http://a.example/1
mug    |       |        |              | L             | M-L         | 7             | shopify                   | 4                     | continue                 | http://a.example/2
pot    | Pot   | Kiln   | Title        | Default Title | P           | 12            |                           | 0                     | deny                     |
"""


@pytest.fixture(scope="session")
async def engine(database_url):
    made = create_engine(database_url, pool_size=4)
    yield made
    await made.dispose()


@pytest.fixture
def load(engine, tmp_path, store):
    async def run(content: str | bytes, **options):
        path = tmp_path / "products.csv"
        path.write_bytes(content if isinstance(content, bytes) else table_bytes(content))
        return await load_file(engine, store, path, **options)

    return run


@pytest.fixture
def ask(engine, store):
    async def run(statement: str, **values):
        async with engine.connect() as connection:
            return (await connection.execute(text(statement), {"s": store.id, **values})).all()

    return run


@pytest.mark.data
@pytest.mark.skipif(not EXPECTED.is_file(), reason="the shared data folder is not beside this checkout")
@pytest.mark.parametrize("name", FILES)
async def test_a_real_file_comes_to_its_figures_and_a_second_run_changes_nothing(engine, store, ask, name):
    expected = json.loads(EXPECTED.read_text())["shopify"][name]
    summary, told = await load_file(engine, store, FOLDER / name)

    figures = dict((await ask(FIGURES))[0]._mapping)
    figures |= {key: Decimal(figures[key]) / 100 for key in ("price_sum", "price_min", "price_max")}
    figures["products_by_option_count"] = {str(n): count for n, count in await ask(OPTION_COUNTS)}
    figures["products_with_default_title_only"] = (await ask(DEFAULT_ONLY))[0][0]
    with (FOLDER / name).open("rb") as source:
        table = open_table(source)
        rows = [row for row in table.rows if isinstance(row, Row)]
        keys = table.columns
    figures["columns"] = len(keys.keys)
    figures["data_rows"] = len(rows)
    figures["blank_rows"] = 0
    figures["image_only_rows"] = sum(not row.cells["price"] for row in rows)
    figures["apostrophe_sku"] = sum(row.cells["sku"].startswith("'") for row in rows)
    figures["apostrophe_barcode"] = sum(row.cells["barcode"].startswith("'") for row in rows)
    figures["bodies_with_meta_tag"] = sum("<meta" in row.cells["body_html"].lower() for row in rows)
    statuses = await ask("SELECT status, count(*) FROM products WHERE store_id = :s GROUP BY status")
    figures["status"] = {row[0]: row[1] for row in statuses} if "status" in keys else {}

    wanted = expected | {key: Decimal(expected[key]) for key in ("price_sum", "price_min", "price_max")}
    assert figures == wanted
    assert summary.rows == expected["data_rows"]
    assert not summary.left_out
    assert Counter(issue.level for issue in told)["error"] == 0
    assert (await ask(STOCK_BREACHES))[0][0] == 0
    dirty = "SELECT count(*) FROM products WHERE store_id = :s AND body_html ~* '<(script|iframe|style|meta)'"
    assert (await ask(dirty))[0][0] == 0

    before = await ask(STATE)
    again, _ = await load_file(engine, store, FOLDER / name)
    assert await ask(STATE) == before
    assert not again.changed
    assert again.outcome.unchanged == expected["products"]


@pytest.mark.data
@pytest.mark.skipif(not EXPECTED.is_file(), reason="the shared data folder is not beside this checkout")
async def test_a_mangled_barcode_is_dropped_and_its_row_loads(engine, store, ask):
    _, told = await load_file(engine, store, FOLDER / "template_2023_excel-mangled.csv")
    assert {issue.level for issue in told} == {"warning"}
    assert await ask("SELECT 1 FROM variants WHERE store_id = :s AND barcode ~ 'E'") == []


async def test_rows_of_one_handle_may_stand_apart_and_in_any_order(load, ask):
    lines = MUGS.strip().splitlines()
    await load("\n".join([lines[0], lines[2], lines[3], lines[1]]))
    rows = await ask("SELECT title, price FROM variants WHERE store_id = :s ORDER BY id")
    assert [tuple(row) for row in rows] == [("Default Title", 1200), ("L", 700), ("S", 500)]


async def test_an_update_touches_only_what_differs(load, ask):
    await load(MUGS)
    times = "SELECT handle, updated_at, version FROM products WHERE store_id = :s ORDER BY handle"
    before = await ask(times)
    summary, _ = await load(MUGS.replace("| 12  ", "| 13  "))
    after = await ask(times)
    assert after[0] == before[0]
    assert (after[1].updated_at > before[1].updated_at, after[1].version) == (True, 2)
    assert (summary.outcome.updated, summary.outcome.unchanged) == (1, 1)
    assert summary.outcome.variants_updated == 1


async def test_an_absent_column_keeps_its_value_and_a_blank_cell_empties_it(load, ask):
    await load(MUGS)
    await load("Handle | Title | Vendor\nmug | Mugs |\npot | Pot | Forge")
    rows = await ask("SELECT title, vendor FROM products WHERE store_id = :s ORDER BY handle")
    assert [tuple(row) for row in rows] == [("Mugs", ""), ("Pot", "Forge")]
    kept = await ask("SELECT sku, price FROM variants WHERE store_id = :s ORDER BY id")
    assert [tuple(row) for row in kept] == [("M-S", 500), ("M-L", 700), ("P", 1200)]
    assert len(await ask("SELECT id FROM product_images WHERE store_id = :s")) == 2


async def test_a_metafield_of_the_file_is_told_with_the_variant(load, ask):
    await load(
        """
        Handle | Title | Variant SKU | Variant Price | Firing (product.metafields.custom.firing_method)
        mug    | Mug   | MUG-1       | 19.00         | Wood-fired
        """
    )
    told = "SELECT CAST(specs_object AS json) FROM variant_documents WHERE store_id = :s"
    specifications = (await ask(told))[0][0]
    assert [(spec["name"], spec["value"]) for spec in specifications.values()] == [
        ("SKU", "MUG-1"),
        ("Firing method", "Wood-fired"),
    ]


async def test_what_comes_in_later_is_related_to_what_was_there(load, ask):
    head = "Handle | Title | Tags | Variant Price\n"
    tent, tarp = "tent | Tent | ultralight | 10\n", "tarp | Tarp | ultralight | 10\n"
    await load(head + tent)
    await load(head + tent + tarp)
    related = """
        SELECT p.handle, o.handle AS beside FROM products p JOIN products o ON o.id = ANY(p.similar_to)
        WHERE p.store_id = :s ORDER BY 1
    """
    assert [tuple(row) for row in await ask(related)] == [("tarp", "tent"), ("tent", "tarp")]


async def test_known_handles_can_be_skipped(load, ask):
    await load(MUGS)
    before = await ask(STATE)
    summary, _ = await load(MUGS.replace("Kiln", "Forge"), skip_existing=True)
    assert summary.outcome.skipped == 2
    assert await ask(STATE) == before


async def test_a_variant_that_the_file_does_not_name_stays(load, ask):
    await load(MUGS)
    await load("Handle | Title | Option1 Name | Option1 Value | Variant Price\nmug | Mug | Size | XL | 9")
    rows = await ask(
        "SELECT title FROM variants v WHERE store_id = :s AND title <> 'Default Title' ORDER BY position"
    )
    assert [row.title for row in rows] == ["XL", "S", "L"]


async def test_a_single_variant_gives_way_to_real_options(load, ask):
    await load(MUGS)
    await load(
        """
        Handle | Title | Option1 Name | Option1 Value | Variant Price | Variant Inventory Qty
        pot    | Pot   | Size         | Small         | 9             | 3
        pot    |       |              | Big           | 15            | 2
        """
    )
    rows = await ask("SELECT title FROM variants WHERE store_id = :s AND price > 700 ORDER BY position")
    assert [row.title for row in rows] == ["Small", "Big"]
    options = await ask("SELECT name FROM product_options WHERE store_id = :s ORDER BY id")
    assert [row.name for row in options] == ["Size", "Size"]
    assert (await ask(STOCK_BREACHES))[0][0] == 0
    orphans = "SELECT 1 FROM stock_items k WHERE store_id = :s AND NOT EXISTS (SELECT FROM variants v WHERE v.id = k.variant_id)"
    assert await ask(orphans) == []


async def test_images_become_those_of_the_file(load, ask):
    await load(MUGS)
    await load(MUGS.replace("http://a.example/1", "http://a.example/3"))
    rows = await ask("SELECT src, position FROM product_images WHERE store_id = :s ORDER BY position")
    assert [tuple(row) for row in rows] == [("http://a.example/3", 1), ("http://a.example/2", 2)]


PICTURED = """
Handle | Title | Option1 Name | Option1 Value | Variant Price | Image Src          | Image Position | Variant Image
mug    | Mug   | Size         | S             | 5             | http://a.example/1 | 1              | http://a.example/2
mug    |       |              | L             | 7             | http://a.example/2 | 2              | http://a.example/1
"""
PICTURES = "SELECT src, position FROM product_images WHERE store_id = :s ORDER BY position"
OF_VARIANTS = """
SELECT i.src FROM variants v JOIN product_images i ON i.id = v.image_id WHERE v.store_id = :s ORDER BY v.id
"""


@pytest.mark.parametrize("address", ["demo:1.svg", "ftp://a.example/1", "C:\\pictures\\1.jpg"])
async def test_a_product_whose_picture_addresses_cannot_be_used_keeps_the_pictures_it_has(load, ask, address):
    await load(PICTURED)
    before = [await ask(PICTURES), await ask(OF_VARIANTS)]
    broken = PICTURED.replace("http://a.example/1", address).replace("http://a.example/2", address)
    summary, _ = await load(broken.replace("| 5  ", "| 6  "))
    assert [await ask(PICTURES), await ask(OF_VARIANTS)] == before
    assert (summary.outcome.images_kept, summary.outcome.images_removed) == (1, 0)
    assert (summary.outcome.variants_updated, summary.left_out) == (1, True)


async def test_one_address_that_cannot_be_used_costs_no_picture_and_new_ones_come_last(load, ask):
    await load(PICTURED)
    mixed = PICTURED.replace("http://a.example/2 | 2", "nowhere:2          | 2")
    mixed += "mug | | | | | http://a.example/3 | 3 |"
    summary, _ = await load(mixed)
    wanted = [(f"http://a.example/{n}", n) for n in (1, 2)] + [("http://a.example/3", 4)]
    assert [tuple(row) for row in await ask(PICTURES)] == wanted
    assert (summary.outcome.images_created, summary.outcome.images_kept) == (1, 1)
    again, _ = await load(mixed)
    assert not again.changed


async def test_a_picture_with_a_wrong_place_is_not_taken_for_one_that_is_gone(load, ask):
    # Named in one place each: a picture that a variant names too would stay by that.
    bare = PICTURED.replace("| http://a.example/2\n", "|\n").replace("| http://a.example/1\n", "|\n")
    await load(bare)
    await load(bare.replace("| 2  ", "| no "))
    assert len(await ask(PICTURES)) == 2


async def test_pictures_that_the_file_no_longer_names_are_removed_and_counted(load, ask):
    await load(PICTURED)
    summary, _ = await load(PICTURED.replace("http://a.example/2", "http://a.example/1"))
    assert [row.src for row in await ask(PICTURES)] == ["http://a.example/1"]
    assert (summary.outcome.images_removed, summary.outcome.images_kept) == (1, 0)


async def test_stock_becomes_the_files_count_by_a_movement(load, ask):
    await load(MUGS)
    await load(MUGS.replace("| 10 ", "| 25 "))
    stock = "SELECT on_hand, tracked, policy, floor FROM stock_items WHERE store_id = :s ORDER BY variant_id"
    assert [tuple(row) for row in await ask(stock)] == [
        (25, True, "deny", 0), (4, True, "continue", None), (0, False, "deny", 0),
    ]  # fmt: skip
    moves = await ask("SELECT kind, delta FROM stock_movements WHERE store_id = :s ORDER BY id")
    assert [tuple(row) for row in moves] == [("stocked", 10), ("stocked", 4), ("stocked", 15)]


async def test_a_count_below_what_is_held_lets_the_held_units_go_and_no_more(load, ask, sessions, store):
    await load(MUGS)
    async with transaction(sessions) as session:
        held = text("UPDATE stock_items SET reserved = 6 WHERE store_id = :s AND on_hand = 10")
        await session.execute(held, {"s": store.id})
    await load(MUGS.replace("| 10 ", "| 2  "))
    row = (
        await ask(
            "SELECT on_hand, reserved, floor, available FROM stock_items WHERE store_id = :s AND reserved > 0"
        )
    )[0]
    assert tuple(row) == (2, 6, -4, False)


async def test_a_negative_count_of_a_deny_variant_is_its_own_floor(load, ask):
    await load(MUGS.replace("| 10 ", "| -7 "))
    row = (
        await ask("SELECT on_hand, floor, available FROM stock_items WHERE store_id = :s AND on_hand < 0")
    )[0]
    assert tuple(row) == (-7, -7, False)


async def test_bad_rows_are_named_and_the_rest_loads(load, ask):
    summary, told = await load(MUGS.replace("| 7 ", "| 7.999 ").replace("| M-S ", "| M-S2 "))
    assert [(i.line, i.handle, i.column, i.value) for i in told] == [(3, "mug", "Variant Price", "7.999")]
    assert summary.left_out
    rows = await ask("SELECT sku FROM variants WHERE store_id = :s ORDER BY id")
    assert [row.sku for row in rows] == ["M-S2", "P"]


async def test_a_new_product_needs_a_price(load):
    summary, told = await load("Handle | Title\nmug | Mug")
    assert (summary.outcome.created, summary.outcome.left_out) == (0, 1)
    assert [(i.level, i.column) for i in told] == [("error", "Variant Price")]


async def test_prices_are_in_the_stores_currency(engine, sessions, tmp_path):
    store = await make_store(sessions, currency="JPY")
    path = tmp_path / "products.csv"
    path.write_bytes(csv_bytes(("Handle", "Title", "Variant Price"), ("a", "A", "1200"), ("b", "B", "12.50")))
    summary, told = await load_file(engine, store, path)
    assert summary.outcome.created == 1
    assert [(i.handle, i.column) for i in told] == [("b", "Variant Price")]


async def test_a_hidden_handle_keeps_its_number_on_the_second_run(load, ask):
    content = csv_bytes(("Handle", "Title", "Variant Price"), ("search", "Search", "5"))
    await load(content)
    again, _ = await load(content)
    assert [row.handle for row in await ask("SELECT handle FROM products WHERE store_id = :s")] == [
        "search-1"
    ]
    assert not again.changed


async def test_products_of_the_same_title_and_sku_stay_two(load, ask):
    header = ("Handle", "Title", "Variant SKU", "Variant Price")
    await load(csv_bytes(header, ("a", "Mug", "X", "5"), ("b", "Mug", "X", "5")))
    assert len(await ask("SELECT id FROM products WHERE store_id = :s")) == 2


async def test_the_same_file_in_two_stores_makes_two_catalogues(engine, load, ask, sessions, tmp_path):
    await load(MUGS)
    other = await make_store(sessions)
    before = await ask(STATE)
    path = tmp_path / "other.csv"
    path.write_bytes(table_bytes(MUGS.replace("Kiln", "Forge")))
    await load_file(engine, other, path)
    assert await ask(STATE) == before


async def test_a_store_that_the_statistics_have_not_seen_is_filled_within_the_time_limit_of_statements(
    engine, load, sessions, tmp_path
):
    """The planner takes such a store for empty, however many products its first batch brings."""
    await load(MUGS)
    async with engine.begin() as connection:
        await connection.execute(text("ANALYZE"))
    rows = [(f"p-{n // 4}", f"Product {n // 4}", "Size", str(n % 4), "9.99") for n in range(1_000)]
    path = tmp_path / "first.csv"
    path.write_bytes(csv_bytes(("Handle", "Title", "Option1 Name", "Option1 Value", "Variant Price"), *rows))
    summary = (await load_file(engine, await make_store(sessions), path))[0]
    assert summary.outcome.created == 250


async def test_ten_thousand_rows_take_a_minute_at_most(load):
    header = (
        "Handle",
        "Title",
        "Body (HTML)",
        "Option1 Name",
        "Option1 Value",
        "Variant Price",
        "Variant Inventory Qty",
    )
    rows = [
        (f"p-{n // 4}", f"Product {n // 4}" if n % 4 == 0 else "", "<p>Words</p>" * 20 if n % 4 == 0 else "",
         "Size" if n % 4 == 0 else "", str(n % 4), "9.99", "7")
        for n in range(10_000)
    ]  # fmt: skip
    summary, _ = await load(csv_bytes(header, *rows))
    assert summary.outcome.created == 2_500
    assert summary.seconds < 60
