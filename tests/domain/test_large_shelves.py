"""What a process keeps of large shelves: while nothing changes for as long as it likes, else for a moment."""

import asyncio
from dataclasses import dataclass

import msgspec
import pytest
from sqlalchemy import text

from app.db.session import transaction
from app.domain.catalogue import large_shelves
from app.domain.catalogue.arranging import CollectionDraft, apply_collection
from app.domain.catalogue.large_shelves import LOOK_SECONDS, LargeShelves
from app.domain.catalogue.service import save_products
from app.domain.catalogue.shelves import list_collection_filters, list_collection_products
from app.kit.clock import utc_now
from app.kit.errors import NotFound
from app.kit.paging import PageRequest
from tests.api.catalogue_shop import fill, simple

SECONDS = 4.0


@dataclass
class World:
    """A shop, what a process keeps of it, and the time and the version that it believes in."""

    sessions: object
    store: object
    reads: object
    shelves: LargeShelves
    now: float = 100.0
    version: int = 1

    async def vendors(self) -> dict[str, int]:
        raw = await list_collection_filters(self.reads, self.store.id, "all", large=self.shelves)
        found = next(one for one in msgspec.json.decode(raw) if one["kind"] == "vendors")
        return {value["key"]: value["count"] for value in found["values"]}

    async def titles(self) -> int:
        found = await list_collection_products(
            self.reads, self.store.id, "all", PageRequest(), order_by="title", large=self.shelves
        )
        return found.total

    async def add(self, vendor: str) -> None:
        draft = simple(f"by-{vendor}", f"By {vendor}", 100, vendor=vendor)
        async with transaction(self.sessions) as session:
            await save_products(session, self.store.id, [draft], now=utc_now())
        await self.arrange()
        self.version += 1

    async def arrange(self, *, visible: bool = True) -> None:
        async with self.sessions() as session:
            query = text("SELECT handle FROM products WHERE store_id = :id ORDER BY id")
            handles = tuple(await session.scalars(query, {"id": self.store.id}))
        async with transaction(self.sessions) as session:
            draft = CollectionDraft("all", "All", products=handles, visible=visible)
            await apply_collection(session, self.store.id, draft, now=utc_now())


@pytest.fixture
async def world(sessions, reads, store) -> World:
    await fill(sessions, store)

    async def version_of(_: int) -> int:
        return world.version

    shelves = LargeShelves(reads, version_of, seconds=SECONDS, most_read=3, clock=lambda: world.now)
    world = World(sessions, store, reads, shelves)
    await world.arrange()
    return world


async def test_while_nothing_changes_it_is_kept_and_after_a_change_it_is_old_for_a_moment(world):
    assert await world.vendors() == {"fjellbu": 3}
    kept = world.shelves._kept[world.store.id]
    world.now += 100 * SECONDS
    assert await world.vendors() == {"fjellbu": 3}
    assert world.shelves._kept[world.store.id] is kept
    await world.add("first")
    world.now += SECONDS / 2 - 0.1
    assert "first" not in await world.vendors()
    world.now += 0.2  # Answered at once with what is kept, and read anew meanwhile.
    assert "first" not in await world.vendors()
    await asyncio.gather(*world.shelves._reading.values())
    assert "first" in await world.vendors()
    await world.add("second")
    world.now += SECONDS + 0.1
    assert (await world.vendors(), await world.titles()) == ({"fjellbu": 3, "first": 1, "second": 1}, 6)


async def test_a_shelf_with_few_products_and_a_shop_that_keeps_nothing_are_always_up_to_date(world):
    for shelves in (
        LargeShelves(world.reads, world.shelves._version_of, seconds=SECONDS),
        LargeShelves(world.reads, world.shelves._version_of, seconds=0, most_read=0),
    ):
        world.shelves = shelves
        before = await world.titles()
        await world.add(f"v{before}")
        assert (await world.titles(), (await world.vendors())[f"v{before}"]) == (before + 1, 1)
        assert shelves._kept == {}


async def test_in_a_small_shop_counts_are_kept_until_anything_changes_and_are_never_old(world, monkeypatch):
    world.shelves = shelves = LargeShelves(
        world.reads, world.shelves._version_of, seconds=SECONDS, few=3, clock=lambda: world.now
    )
    assert await world.vendors() == {"fjellbu": 3}
    kept = shelves._kept[world.store.id]
    world.now += 100 * SECONDS
    assert await world.vendors() == {"fjellbu": 3}
    assert shelves._kept[world.store.id] is kept
    await world.add("first")
    assert (await world.titles(), await world.vendors()) == (5, {"fjellbu": 3, "first": 1})
    # A reading that began before the last change is nobody's answer who asks after it.
    begun, go_on = asyncio.Event(), asyncio.Event()
    original = large_shelves.load_catalogue

    async def slow(*args):
        found = await original(*args)
        begun.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(large_shelves, "load_catalogue", slow)
    world.version += 1
    early = asyncio.create_task(world.vendors())
    await begun.wait()
    await world.add("second")
    late = asyncio.create_task(world.vendors())
    await asyncio.sleep(0)
    go_on.set()
    assert "second" not in await early
    assert await late == {"fjellbu": 3, "first": 1, "second": 1}
    # What has grown out of it follows the rule of large shops from then on.
    shelves._most_read = 3
    await world.add("third")
    world.now += 0.1
    assert "third" not in await world.vendors()


async def test_a_shelf_that_is_hidden_is_not_found_although_it_was_large(world):
    assert await world.titles() == 4
    await world.arrange(visible=False)
    world.version += 1
    world.now += LOOK_SECONDS - 1
    with pytest.raises(NotFound):
        await world.titles()


async def test_many_who_ask_at_once_read_it_once(world, monkeypatch):
    loaded = []
    original = large_shelves.load_catalogue

    async def counted(*args):
        loaded.append(args)
        return await original(*args)

    monkeypatch.setattr(large_shelves, "load_catalogue", counted)
    assert set(await asyncio.gather(*(world.titles() for _ in range(20)))) == {4}
    assert len(loaded) == 1
