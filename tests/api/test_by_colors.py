"""Variants by colour: nearest first by the formula, by what merchants, stores and names say."""

import random
from pathlib import Path

import pytest
from sqlalchemy import text

from app.cli.apply import ShopFile, apply_shop
from app.db.session import Sessions, create_engine, transaction
from app.domain.catalogue.drafts import OptionDraft, ProductDraft, VariantDraft
from app.domain.catalogue.service import save_product
from app.domain.discovery.colors import CANDIDATES, MOST_SHOWN
from app.domain.stores.models import Store
from app.domain.stores.plan import StorePlan
from app.kit.clock import utc_now
from app.kit.colors import ciede2000, lab_of
from tests.api.test_statements import counted
from tests.domain.product_files import load_file, table_bytes
from tests.shop import Guest

__all__ = ["counted"]
NAMES = ("Red", "Crimson", "Navy", "White", "Black / White", "Mystery")


def dyed(handle: str, names: tuple[str, ...], *, codes: tuple[tuple[str, ...], ...] = ()) -> ProductDraft:
    return ProductDraft(
        handle=handle,
        title=handle.title(),
        options=(OptionDraft("Colour", names),),
        variants=tuple(
            VariantDraft(price=900, values=(name,), colors=codes[place] if codes else ())
            for place, name in enumerate(names)
        ),
    )


async def save(sessions: Sessions, store: Store, *drafts: ProductDraft) -> None:
    async with transaction(sessions) as session:
        for draft in drafts:
            await save_product(session, store.id, draft, now=utc_now())


async def shown(guest: Guest, *codes: str) -> list[str]:
    query = "&".join(f"colors[]={code}" for code in codes)
    answer = await guest.call("GET", f"/products/variants/by-colors?{query}")
    assert answer.status_code == 200, answer.text
    return [item["variant_title"] for item in answer.json()]


async def test_the_nearest_colours_come_first(guest: Guest, sessions, store):
    await save(sessions, store, dyed("shirt", NAMES))
    reds = await shown(guest, "f00000")
    assert reds[:2] == ["Red", "Crimson"]
    assert set(reds) == set(NAMES) - {"Mystery"}
    assert (await shown(guest, "000070"))[0] == "Navy"
    # Of several colours the nearest counts, on both sides.
    assert (await shown(guest, "000001"))[0] == "Black / White"
    assert set((await shown(guest, "FF0000", "%23fefefe"))[:3]) == {"Red", "White", "Black / White"}


async def test_of_two_colours_that_are_asked_for_none_hides_the_other(guest: Guest, sessions, store):
    for name in ("Navy", "Red"):
        shades = tuple(f"{name} {place}" for place in range(MOST_SHOWN + 5))
        code = {"Navy": "000080", "Red": "ff0000"}[name]
        await save(sessions, store, dyed(name.lower(), shades, codes=((code,),) * len(shades)))
    found = await shown(guest, "ff0000", "000080")
    assert found == [f"{name} {place}" for place in range(MOST_SHOWN // 2) for name in ("Navy", "Red")]


async def test_variants_of_very_many_colours_hide_no_others(guest: Guest, sessions, store):
    shades = tuple(f"{0xFF - place:02x}0000" for place in range(16))
    motley = dyed("motley", tuple("ABCDEFG"), codes=(shades,) * 7)
    await save(sessions, store, motley, dyed("plain", ("Navy", "Teal")))
    assert sorted(await shown(guest, "ff0000")) == [*"ABCDEFG", "Navy", "Teal"]


async def test_a_stores_own_names_and_the_merchants_codes_count(guest: Guest, sessions, store):
    await save(
        sessions, store,
        dyed("mug", ("Mystery", "Riddle")),
        dyed("cap", ("Red", "White"), codes=(("0000ff",), ("00ff00", "ff00ff"))),
    )  # fmt: skip
    assert await shown(guest, "ff0000") == ["White", "Red"]
    assert (await shown(guest, "0000fe"))[0] == "Red"
    for colors, expected in (({"Mystery": "#ff0000"}, "Mystery"), ({"Riddle": "#fe0000"}, "Riddle")):
        async with transaction(sessions) as session:
            plan = ShopFile(store=StorePlan(code=store.code), colors=colors)
            await apply_shop(session, plan, now=utc_now())
        assert (await shown(guest, "ff0000"))[0] == expected


async def test_a_variant_that_changes_its_colour_or_leaves_the_shop_follows(guest: Guest, sessions, store):
    await save(sessions, store, dyed("shirt", ("Red", "Navy")))
    assert await shown(guest, "ff0000") == ["Red", "Navy"]
    await save(sessions, store, dyed("shirt", ("Red", "Navy"), codes=(("000080",), ("ff0000",))))
    assert await shown(guest, "ff0000") == ["Navy", "Red"]
    async with transaction(sessions) as session:
        gone = text("DELETE FROM variants WHERE store_id = :store AND title = 'Navy'")
        await session.execute(gone, {"store": store.id})
    assert await shown(guest, "ff0000") == ["Red"]
    async with transaction(sessions) as session:
        hidden = text("UPDATE variants SET listed = false WHERE store_id = :store")
        await session.execute(hidden, {"store": store.id})
    assert await shown(guest, "ff0000") == []


async def test_the_import_reads_colours_from_their_column(guest: Guest, store, database_url, tmp_path: Path):
    file = tmp_path / "products.csv"
    file.write_bytes(
        table_bytes(
            """
            Handle | Title | Option1 Name | Option1 Value | Variant Price | Variant Colors
            bag    | Bag   | Colour       | Dusk          | 9.00          | #2F5D3A, ffffff
            bag    |       |              | Dawn          | 9.00          |
            bag    |       |              | Noon          | 9.00          | green
            """
        )
    )
    engine = create_engine(database_url, pool_size=2)
    _, issues = await load_file(engine, store, file)
    await engine.dispose()
    assert [(issue.column, issue.value) for issue in issues] == [("Variant Colors", "green")]
    assert await shown(guest, "2f5d3b") == ["Dusk"]


async def test_the_order_is_the_formulas_and_takes_3_statements_at_most(
    guest: Guest, sessions, store, counted
):
    """A store with many more colours than candidates, compared with all of them in order."""
    chance = random.Random(5)
    codes = [f"{chance.randrange(1 << 24):06x}" for _ in range(4 * CANDIDATES)]
    names = tuple(f"c{code}" for code in dict.fromkeys(codes))
    for place in range(0, len(names), 200):
        some = names[place : place + 200]
        await save(sessions, store, dyed(f"dye-{place}", some, codes=tuple((name[1:],) for name in some)))
    await shown(guest, "000000")  # the store is known from here on
    for asked in ("2f5d3a", "ff0000", "808080"):
        with counted() as seen:
            found = await shown(guest, asked)
        assert seen == ["read"] * 3
        lab = lab_of(int(asked, 16))
        nearest = sorted(names, key=lambda name, lab=lab: ciede2000(lab, lab_of(int(name[1:], 16))))
        assert found == nearest[:MOST_SHOWN]
    with counted() as seen:
        assert len(await shown(guest, "2f5d3a", "ff0000", "808080")) == MOST_SHOWN
    assert seen == ["read"] * 3


async def test_colours_that_many_variants_share_take_2_statements_in_the_same_order(
    guest: Guest, sessions, store, counted
):
    chance = random.Random(6)
    codes = [f"{chance.randrange(1 << 24):06x}" for _ in range(120)]
    for number in range(8):
        names = tuple(f"c{code}" for code in codes)
        await save(sessions, store, dyed(f"dye-{number}", names, codes=tuple((code,) for code in codes)))
    await shown(guest, "000000")  # the store is known from here on
    for asked in ("2f5d3a", "ff0000", "808080"):
        with counted() as seen:
            found = await shown(guest, asked)
        assert seen == ["read"] * 2
        lab = lab_of(int(asked, 16))
        nearest = sorted(codes, key=lambda code, lab=lab: ciede2000(lab, lab_of(int(code, 16))))
        assert found == [f"c{code}" for code in nearest for _ in range(8)][:MOST_SHOWN]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "colors"),
        ("?colors[]=green", "colors[0]"),
        ("?colors[]=ffffff&colors[]=fff", "colors[1]"),
        ("?colors[0]=ffffff&colors[1]=fff", "colors[1]"),
        ("?colors[]=%00fffff", "colors[]"),
        ("?" + "&".join(["colors[]=ffffff"] * 11), "colors"),
    ],
)
async def test_what_is_no_colour_names_its_field(guest: Guest, query, field):
    answer = await guest.call("GET", f"/products/variants/by-colors{query}")
    assert answer.status_code == 422, answer.text
    assert [one["field"] for one in answer.json()["errors"]] == [field]
