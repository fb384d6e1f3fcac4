"""What a shop file does to a store: everything once, nothing twice, and faults named by their place."""

import tomllib
from uuid import uuid4

import click
import msgspec
import pytest
from sqlalchemy import select, text

from app.cli.apply import ShopFile, apply_shop, read_toml
from app.cli.file_places import name_place
from app.db.session import transaction
from app.domain.catalogue.drafts import ProductDraft, VariantDraft
from app.domain.catalogue.service import save_product
from app.domain.content.service import ContentFile, PageDraft, PostDraft, apply_content
from app.domain.stores.applying import apply_store
from app.domain.stores.models import Store
from app.domain.stores.queries import Look, NewsletterRules, get_store_config
from app.kit.clock import utc_now
from app.kit.errors import Invalid

SHOP = """
colors = { Cream = "#F1E6CF" }
[store]
code = "CODE"
name = "North Hut"
currency = "USD"
first_order_number = 500
contact_subjects = ["Other"]
[payment_services]
manual = { title = "Invoice" }
free_payment = {}
[[cancellation_reasons]]
code = "mind"
title = "Changed my mind"
[[shipping_zones]]
name = "Here"
countries = ["US"]
[[shipping_zones.options]]
title = "Ground"
price = "6.50"
free_from = "75.00"
max_weight_grams = 20000
[[tax_rates]]
country = "US"
region = "US-CA"
name = "Sales tax"
rate = "7.25"
[[collections]]
handle = "warm"
title = "Warm"
products = ["mug", "blanket"]
[[collections]]
handle = "cheap"
title = "Cheap"
rules = [{ field = "price", relation = "less_than", value = "10.00" }]
[[categories]]
handle = "cups"
title = "Cups"
parent = "home"
collections = ["cheap"]
[[categories]]
handle = "home"
title = "Home"
"""


@pytest.fixture
def code():
    return f"shop-{uuid4().hex[:8]}"


@pytest.fixture
def apply(sessions, code):
    async def run(content: str = SHOP, **options):
        plan = msgspec.convert(tomllib.loads(content.replace("CODE", code)), ShopFile)
        async with transaction(sessions) as session:
            return await apply_shop(session, plan, now=utc_now(), **options)

    return run


async def figures(sessions, store_id):
    asked = """
    SELECT (SELECT json_agg(row_to_json(x)) FROM stores x WHERE id = :s)::text,
        (SELECT json_agg(row_to_json(x) ORDER BY id) FROM shipping_zones x WHERE store_id = :s)::text,
        (SELECT json_agg(row_to_json(x) ORDER BY id) FROM shipping_options x WHERE store_id = :s)::text,
        (SELECT json_agg(row_to_json(x) ORDER BY id) FROM tax_rates x WHERE store_id = :s)::text,
        (SELECT json_agg(row_to_json(x) ORDER BY name) FROM store_payment_services x WHERE store_id = :s)::text,
        (SELECT json_agg(row_to_json(x) ORDER BY id) FROM collections x WHERE store_id = :s)::text,
        (SELECT json_agg(row_to_json(x) ORDER BY id) FROM categories x WHERE store_id = :s)::text
    """
    async with sessions() as session:
        return tuple((await session.execute(text(asked), {"s": store_id})).one())


async def test_a_shop_file_makes_a_store_and_a_second_time_changes_nothing(apply, sessions):
    first = await apply()
    before = await figures(sessions, first.store.id)
    again = await apply()
    assert again.changes == []
    assert await figures(sessions, first.store.id) == before
    store = first.store
    assert (store.name, store.cancellation_reasons) == ("North Hut", ["Changed my mind"])
    assert store.settings["colors"] == {"Cream": "#f1e6cf"}
    told = "\n".join(first.changes)
    for word in ("store", "shipping zone Here", "6.50 USD", "tax US-CA Sales tax", "manual", "warm", "cups"):
        assert word in told


async def test_how_mails_look_and_newsletters_begin_is_set_and_told(apply, reads):
    sections = (
        '[look]\ncolor = "#AA3300"\nlogo = "https://cdn.example/l.png"\n[newsletter]\ndouble_opt_in = false\n'
    )
    store = (await apply()).store
    config = await get_store_config(reads, store.id)
    assert (config.look, config.newsletter) == (Look(), NewsletterRules(double_opt_in=True))
    changed = await apply(SHOP.replace("[store]", f"{sections}[store]"))
    assert [line.partition(": ")[2] for line in changed.changes] == [
        "look color (none) -> #AA3300",
        "look logo (none) -> https://cdn.example/l.png",
        "newsletter double_opt_in (none) -> False",
    ]
    config = await get_store_config(reads, store.id)
    assert config.look == Look(color="#AA3300", logo="https://cdn.example/l.png")
    assert not config.newsletter.double_opt_in
    assert (await apply()).changes == []  # what is not named stays


@pytest.mark.parametrize(
    "logo", ["http://cdn.example/l.png", "javascript:alert(1)", 'https://x.example/"onload=']
)
async def test_a_logo_is_an_https_address(apply, logo):
    with pytest.raises(msgspec.ValidationError, match="look"):
        await apply(SHOP.replace("[store]", f"[look]\nlogo = '{logo}'\n[store]"))


async def test_each_change_is_one_line(apply):
    await apply()
    changed = SHOP.replace('"6.50"', '"7.00"').replace('"7.25"', '"8.00"').replace("North Hut", "South Hut")
    assert (await apply(changed)).changes == [
        f"store {(await apply(changed)).store.code}: name North Hut -> South Hut",
        "shipping option Here / Ground: price 650 -> 700",
        "tax US-CA Sales tax: 7.25 % -> 8 %",
    ]


async def test_a_tax_rate_is_kept_as_fine_as_laws_write_it(apply, reads):
    """New Jersey's, in place of one that was written in two decimals."""
    await apply()
    finer = SHOP.replace('"7.25"', '"6.625"')
    applied = await apply(finer)
    assert applied.changes == ["tax US-CA Sales tax: 7.25 % -> 6.625 %"]
    assert (await apply(finer)).changes == []
    config = await get_store_config(reads, applied.store.id)
    assert config.tax_rate("US", "US-CA") == 66_250


async def test_what_a_section_does_not_name_goes_and_an_absent_section_is_left_alone(apply, sessions):
    store = (await apply()).store
    only_store = '[store]\ncode = "CODE"\n'
    assert (await apply(only_store)).changes == []
    told = (await apply(only_store + "[payment_services]\nmanual = {}\n")).changes
    assert told == ["payment service free_payment: removed"]
    moved = SHOP.replace('name = "Here"', 'name = "There"')
    assert "shipping zone Here: removed" in (await apply(moved)).changes
    async with sessions() as session:
        count = "SELECT count(*) FROM shipping_options WHERE store_id = :s"
        assert await session.scalar(text(count), {"s": store.id}) == 1


async def test_collections_wait_for_their_products(apply, sessions):
    applied = await apply()
    assert applied.notes == [
        "Not in the shop; import and apply again, or take out of the file:\n  collection warm: mug, blanket"
    ]
    async with transaction(sessions) as session:
        draft = ProductDraft(handle="mug", title="Mug", variants=(VariantDraft(price=900),))
        await save_product(session, applied.store.id, draft, now=utc_now())
    again = await apply()
    assert again.changes == ["collection warm: 1 products"]
    assert "mug" not in again.notes[0]


async def test_what_is_shown_beside_a_product_is_chosen_in_the_file_and_computed_without_it(apply, sessions):
    store = (await apply()).store
    only = '[store]\ncode = "CODE"\n'
    chosen = only + '[related]\nmug = ["jug", "plate", "mug"]\ncup = ["mug"]\n'
    async with transaction(sessions) as session:
        for handle in ("mug", "jug", "bowl"):
            draft = ProductDraft(handle=handle, title=handle, variants=(VariantDraft(price=900),))
            await save_product(session, store.id, draft, now=utc_now())

    async def beside_mug() -> list[str]:
        asked = """
            SELECT v.full_title FROM products p CROSS JOIN LATERAL unnest(p.related) AS own (id)
            JOIN variants v ON v.id = own.id WHERE p.store_id = :s AND p.handle = 'mug'
        """
        async with sessions() as session:
            return list(await session.scalars(text(asked), {"s": store.id}))

    first = await apply(chosen)
    assert (first.changes, await beside_mug()) == (["related mug: 1"], ["jug"])
    assert first.notes[0].splitlines()[1:] == ["  related mug: plate", "  related cup: cup"]
    assert (await apply(chosen)).changes == []
    assert (await apply(only)).changes == []
    assert (await apply(only + "[related]\n")).changes == ["related mug: computed"]
    assert await beside_mug() == []


async def test_all_handles_that_are_nowhere_are_named_together(apply):
    more = SHOP.replace(
        'parent = "home"\ncollections = ["cheap"]', 'parent = "attic"\ncollections = ["cheap", "rare", "new"]'
    )
    more += (
        'collections = ["old"]\n[[collections]]\nhandle = "cold"\ntitle = "Cold"\nproducts = ["ice", "mug"]\n'
    )
    with pytest.raises(Invalid) as refused:
        await apply(more)
    assert {(fault.field, fault.message) for fault in refused.value.errors} == {
        ("categories.cups.parent", "there is no category attic"),
        ("categories.cups.collections", "there is no collection rare, new"),
        ("categories.home.collections", "there is no collection old"),
    }
    more = SHOP + '[[collections]]\nhandle = "cold"\ntitle = "Cold"\nproducts = ["ice", "mug"]\n'
    assert (await apply(more)).notes == [
        "Not in the shop; import and apply again, or take out of the file:\n  collection warm: mug, blanket\n  collection cold: ice, mug"
    ]


async def test_with_another_language_products_pages_and_posts_are_found_by_its_stems(apply, sessions):
    store = (await apply()).store
    candle = ProductDraft("candle", "Rote Kerzen", variants=(VariantDraft(price=900),))
    texts = ContentFile(
        posts=(PostDraft("candles", "Rote Kerzen"),), pages=(PageDraft("wax", "Wachs", content="Kerzen"),)
    )
    async with transaction(sessions) as session:
        await save_product(session, store.id, candle, now=utc_now())
        await apply_content(session, store.id, texts, now=utc_now())
    asked = """
        SELECT count(*) FROM (SELECT store_id, search FROM products UNION ALL
            SELECT store_id, search FROM pages UNION ALL SELECT store_id, search FROM blog_posts) found
        WHERE store_id = :store AND search @@ to_tsquery('storefront_german', 'Kerze')
    """

    async def found() -> int:
        async with sessions() as session:
            return await session.scalar(text(asked), {"store": store.id})

    assert await found() == 0
    await apply(SHOP.replace("[store]", '[store]\nlanguage = "de"'))
    assert await found() == 3


async def test_a_store_with_products_keeps_its_currency(apply, sessions):
    store = (await apply()).store
    assert (await apply(SHOP.replace('"USD"', '"EUR"'))).store.currency == "EUR"
    async with transaction(sessions) as session:
        draft = ProductDraft(handle="mug", title="Mug", variants=(VariantDraft(price=900),))
        await save_product(session, store.id, draft, now=utc_now())
    with pytest.raises(Invalid) as caught:
        await apply()
    assert caught.value.errors[0].field == "store.currency"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('price = "6.50"', 'price = "6.505"', "shipping_zones[0].options[0].price"),
        ('countries = ["US"]', 'countries = ["XX"]', "shipping_zones[0].countries"),
        ('countries = ["US"]', "countries = []", "shipping_zones[0]"),
        ('region = "US-CA"', 'region = "GB-ENG"', "tax_rates[0].region"),
        ('rate = "7.25"', 'rate = "6.62505"', "tax_rates[0].rate"),
        ('rate = "7.25"', 'rate = "6.6249999999999996"', "tax_rates[0].rate"),
        ('rate = "7.25"', 'rate = "997.5"', "tax_rates[0].rate"),
        ("manual =", "barter =", "payment_services.barter"),
        ('currency = "USD"', 'currency = "QQQ"', "store.currency"),
        ('value = "10.00"', 'value = "ten"', "collections[1].rules[0].value"),
        ('parent = "home"', 'parent = "attic"', "categories.cups.parent"),
        ("[store]", "[search]\nsynonyms = [['cup', 'Cup']]\n[store]", "search.synonyms[0]"),
        ("[store]", "[search]\nsynonyms = [['a'], ['cup']]\n[store]", "search.synonyms[1]"),
        ("[store]", "[search]\nsynonyms = [['cup', '!']]\n[store]", "search.synonyms[0]"),
        ("[store]", "[search]\nsynonyms = [['cup', 'one two three four']]\n[store]", "search.synonyms[0]"),
    ],
)
async def test_a_fault_is_named_by_its_place_and_nothing_is_applied(apply, sessions, code, old, new, place):
    with pytest.raises(Invalid) as caught:
        await apply(SHOP.replace(old, new))
    assert place in [fault.field for fault in caught.value.errors]
    async with sessions() as session:
        assert await session.scalar(select(Store).where(Store.code == code)) is None


async def test_the_test_service_is_refused_in_production(apply):
    with pytest.raises(Invalid, match="development only"):
        await apply(SHOP.replace("free_payment", "test"), production=True)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("[store]\nnmae = 'x'", "store: unknown key `nmae`$"),
        ("[[shipping_zones]]\nname = 'x'\nfee = 1", 'shipping_zones "x": unknown key `fee`$'),
        ("[[collections]]\nhandle = 'x'\ntitle = 'X'\nfoo = 1", 'collections "x": unknown key `foo`$'),
        (
            "[[shipping_zones]]\nname = 'x'\n[[shipping_zones.options]]\ntitle = 'a'\nprice = 6.5",
            'zones "x", options "a", price: Expected `str`, got `float`: put it in quotes$',
        ),
        (
            "[[tax_rates]]\ncountry = 'US'\nname = 'x'\nrate = 6.625",
            'tax_rates "US x", rate: .* put it in quotes$',
        ),
        ("[[tax_rates]]\ncountry = 'US'\nname = 'x'\nrate = true", "rate: Expected `str`, got `bool`$"),
        ("[[gift_cards]]\ncode = 'SECRET'\namount = 5", "gift_cards no. 1, amount: .* put it in quotes$"),
        ("[search]\nsynonyms = [['a', 'b'], [1]]", "search.synonyms no. 2, no. 1: "),
        ("[referral]\nreward = 10.5", "referral.reward: Expected .* put it in quotes$"),
        ("[store", "at end of document"),
    ],
)
def test_unknown_keys_and_wrong_types_are_errors_that_name_the_key(tmp_path, content, word):
    path = tmp_path / "shop.toml"
    path.write_text(content)
    with pytest.raises(click.ClickException, match=word):
        read_toml(path, ShopFile)


def test_a_place_is_named_as_whoever_wrote_the_file_would_find_it():
    tax = {"country": "US", "name": "Sales tax", "tax_class": ""}
    file = {
        "tax_rates": [{**tax, "region": "US-CA"}, {**tax, "region": "US-NY"}, tax, tax],
        "shipping_zones": [{"name": "Home", "options": [{"title": "Parcel"}, {"title": "Parcel"}]}],
        "categories": [{"handle": "cups"}],
    }
    for path, told in (
        ("tax_rates[1].rate", 'tax_rates "US-NY Sales tax", rate'),
        ("tax_rates[3]", "tax_rates no. 4"),
        ("shipping_zones[0].options[1]", 'shipping_zones "Home", options no. 2'),
        ("store.currency", "store.currency"),
        ("payment_services.barter", "payment_services.barter"),
        ("categories.cups.parent", "categories.cups.parent"),
        ("pickups[0].price", "pickups[0].price"),
    ):
        assert name_place(path, file) == told


async def test_the_first_order_number_holds_until_an_order_has_one(apply, sessions):
    store = (await apply()).store
    assert (await apply(SHOP.replace("= 500", "= 700"))).changes == ["first order number 500 -> 700"]
    async with transaction(sessions) as session:
        drawn = await session.scalar(text(f"SELECT nextval('order_numbers_{store.id}')"))
    assert drawn == 700
    assert (await apply()).changes == []


async def test_the_referral_rule_is_kept_in_minor_units_or_basis_points(sessions, reads):
    code = f"shop-{uuid4().hex[:8]}"
    for section, rule in (
        ('reward = "10.00"', (1000, None)),
        ('percent = "7.25"', (None, 725)),
        ("", (None, None)),
    ):
        file = msgspec.convert(tomllib.loads(f'[store]\ncode = "{code}"\n[referral]\n{section}\n'), ShopFile)
        told = []
        for _ in range(2):
            async with transaction(sessions) as session:
                store, changes = await apply_store(session, file, currency_is_free=True)
            told.append(changes)
        assert told[0]
        assert told[1] == []
        found = await get_store_config(reads, store.id)
        assert (found.referral.amount, found.referral.share) == rule


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ('reward = "0.00"', "referral.reward"),
        ('reward = "1.005"', "referral.reward"),
        ('percent = "0"', "referral.percent"),
        ('percent = "101"', "referral.percent"),
        ('percent = "much"', "referral.percent"),
        ('reward = "1.00"\npercent = "5"', "referral.percent"),
    ],
)
async def test_a_referral_rule_that_makes_no_sense_is_named(sessions, section, field):
    code = f"shop-{uuid4().hex[:8]}"
    file = msgspec.convert(tomllib.loads(f'[store]\ncode = "{code}"\n[referral]\n{section}\n'), ShopFile)
    with pytest.raises(Invalid) as told:
        async with transaction(sessions) as session:
            await apply_store(session, file, currency_is_free=True)
    assert [error.field for error in told.value.errors] == [field]
