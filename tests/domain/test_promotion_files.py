"""What a shop file says of promotions and prices becomes the store's, once; codes are made by command."""

import asyncio
import tomllib
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner
from sqlalchemy import select, text

from app.cli import main
from app.cli.apply import ShopFile, apply_shop
from app.db.session import transaction
from app.domain.catalogue.drafts import ProductDraft, VariantDraft
from app.domain.catalogue.service import save_product
from app.domain.promotions.models import Coupon, PromotionRow
from app.kit.clock import utc_now
from app.kit.errors import Invalid

SHOP = """
[store]
code = "CODE"
currency = "KWD"
[[promotions]]
handle = "welcome"
title = "Ten percent"
kind = "percent"
percent = "10"
codes = ["Welcome10", "HELLO"]
max_per_customer = 1
[[promotions]]
handle = "mug"
title = "A mug with large orders"
kind = "gift"
gift = "mug"
minimum_purchase = "12.500"
[[promotions]]
handle = "pairs"
title = "The second at half"
kind = "buy_x_get_y"
percent = "50"
buy = 1
get = 1
skus = ["M-1"]
get_types = ["Cups"]
ends_at = 2030-01-01T00:00:00Z
[[unit_prices]]
sku = "M-1"
minimum = 10
price = "4.750"
"""


@pytest.fixture
def code():
    return f"shop-{uuid4().hex[:8]}"


@pytest.fixture
def apply(sessions, code):
    async def applied(source: str):
        file = msgspec.convert(tomllib.loads(source.replace("CODE", code)), ShopFile)
        async with transaction(sessions) as session:
            return await apply_shop(session, file, now=utc_now())

    return applied


@pytest.fixture
async def filled(apply, sessions):
    """A store with a mug."""
    store = (await apply('store = { code = "CODE", currency = "KWD" }')).store
    async with transaction(sessions) as session:
        draft = ProductDraft(
            handle="mug", title="Mug", type="Cups", variants=(VariantDraft(price=5000, sku="M-1"),)
        )
        await save_product(session, store.id, draft, now=utc_now())
    return store


async def row(sessions, store, handle: str) -> PromotionRow:
    async with sessions() as session:
        found = await session.scalars(
            select(PromotionRow).where(PromotionRow.store_id == store.id, PromotionRow.handle == handle)
        )
        return found.one()


async def test_a_file_is_applied_once_and_the_second_time_changes_nothing(apply, sessions, filled):
    first = await apply(SHOP)
    assert [line for line in first.changes if line.startswith("promotion")] == [
        "promotion welcome: created",
        "promotion welcome: 2 codes added",
        "promotion mug: created",
        "promotion pairs: created",
    ]
    assert first.changes[-1] == "unit prices: 0 -> 1"
    again = await apply(SHOP)
    assert (again.changes, again.notes) == ([], [])
    welcome, mug, pairs = [await row(sessions, filled, name) for name in ("welcome", "mug", "pairs")]
    assert (welcome.value, welcome.automatic, welcome.max_per_customer) == (1000, False, 1)
    assert (mug.minimum_purchase, mug.automatic) == (12_500, True)
    assert mug.gift_variant_id in pairs.scope_ids
    assert (pairs.scope_kind, pairs.reward_kind, len(pairs.reward_ids)) == ("variants", "types", 1)


async def test_what_the_file_no_longer_names_is_switched_off_and_comes_back(apply, sessions, filled):
    await apply(SHOP)
    start, _, rest = SHOP.partition("[[promotions]]")
    _, _, others = rest.partition("[[promotions]]")
    gone = await apply(f"{start}[[promotions]]{others}")
    assert gone.changes == ["promotion welcome: switched off"]
    assert not (await row(sessions, filled, "welcome")).enabled
    assert (await apply(SHOP)).changes == ["promotion welcome: enabled changed"]
    assert (await apply('store = { code = "CODE" }')).changes == []
    assert (await row(sessions, filled, "welcome")).enabled


async def test_what_is_not_in_the_shop_yet_is_told_and_never_widens_a_promotion(apply, sessions, filled):
    applied = await apply(
        'store = { code = "CODE" }\n[[promotions]]\nhandle = "a"\ntitle = "A"\nkind = "percent"\npercent = "5"\n'
        'customers = ["nobody@example.com"]\n[[promotions]]\nhandle = "b"\ntitle = "B"\nkind = "percent"\n'
        'percent = "5"\nproducts = ["tent"]\n[[promotions]]\nhandle = "c"\ntitle = "C"\nkind = "gift"\ngift = "tent"'
    )
    assert len(applied.notes) == 3
    assert not (await row(sessions, filled, "a")).enabled
    found = await row(sessions, filled, "b")
    assert (found.scope_kind, found.scope_ids) == ("products", [])


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ('kind = "percent"', "percent"),
        ('kind = "percent"\npercent = "101"', "percent"),
        ('kind = "percent"\npercent = "5"\namount = "1.000"', "amount"),
        ('kind = "fixed_amount"\namount = "1.0001"', "amount"),
        ('kind = "fixed_amount"\namount = "0"', "amount"),
        ('kind = "gift"', "gift"),
        ('kind = "buy_x_get_y"\npercent = "100"\nget = 1', "buy"),
        ('kind = "free_shipping"\nlimit_items = 1', "limit_items"),
        ('kind = "percent"\npercent = "5"\nskus = ["a"]\ntypes = ["b"]', "types"),
        ('kind = "percent"\npercent = "5"\nget_skus = ["a"]', "get_skus"),
        ('kind = "percent"\npercent = "5"\ncodes = ["A"]\nautomatic = true', "automatic"),
        ('kind = "percent"\npercent = "5"\ncodes = ["A", "a"]', "codes"),
        ('kind = "percent"\npercent = "5"\ncountries = ["Canada"]', "countries"),
        ('kind = "percent"\npercent = "5"\nstarts_at = 2026-01-01T00:00:00', "starts_at"),
        (
            'kind = "percent"\npercent = "5"\nstarts_at = 2026-01-02T00:00:00Z\nends_at = 2026-01-01T00:00:00Z',
            "ends_at",
        ),
    ],
    ids=str,
)
async def test_a_fault_is_named_by_its_key(apply, filled, fields, at):
    with pytest.raises(Invalid) as refused:
        await apply(f'store = {{ code = "CODE" }}\n[[promotions]]\nhandle = "a"\ntitle = "A"\n{fields}')
    assert [fault.field for fault in refused.value.errors] == [f"promotions[0].{at}"]


async def test_a_limit_is_not_set_below_what_was_used(apply, sessions, filled):
    limited = SHOP.replace("max_per_customer = 1", "max_uses = 5")
    await apply(limited)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE promotions SET uses = 3 WHERE store_id = :id AND handle = 'welcome'"),
            {"id": filled.id},
        )
    with pytest.raises(Invalid) as refused:
        await apply(limited.replace("max_uses = 5", "max_uses = 2"))
    assert refused.value.errors[0].field == "promotions[0].max_uses"


async def test_codes_are_made_by_command_named_or_many(apply, sessions, filled, code, database_url, tmp_path):
    await apply(SHOP)

    async def run(*arguments: str):
        environ = {"DATABASE_URL": database_url, "STOREFRONT_DATA_DIR": str(tmp_path / "data")}
        command = ["coupon", "create", "--store", code, *arguments]
        return await asyncio.to_thread(CliRunner(env=environ).invoke, main, command)

    many = await run("welcome", "--count", "20", "--uses", "1", "--prefix", "VIP-")
    assert (many.exit_code, len(set(many.stdout.split()))) == (0, 20), many.output
    assert (await run("welcome", "Friend")).stdout == "Friend\n"
    assert "are there already" in (await run("welcome", "FRIEND")).output
    assert "There is no promotion" in (await run("nothing", "X")).output
    assert (await run("welcome")).exit_code == 2
    async with sessions() as session:
        rows = (
            await session.execute(select(Coupon.code, Coupon.max_uses).where(Coupon.store_id == filled.id))
        ).all()
    assert len(rows) == 2 + 20 + 1
    assert {limit for name, limit in rows if name.startswith("VIP-")} == {1}
