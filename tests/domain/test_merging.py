"""Carts that are filled, merged and replaced in any order, beside a model in plain Python."""

import asyncio
from collections import Counter
from datetime import timedelta
from unittest.mock import patch
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from app.db.session import create_engine, create_sessions, transaction
from app.domain.carts.errors import CART_FULL
from app.domain.carts.models import MAX_QUANTITY
from app.domain.carts.service import add_item, set_item
from app.domain.carts.words import CartWords, write_words
from app.domain.checkout.claiming import Taken, take_cart
from app.kit.clock import utc_now
from app.kit.errors import AppError
from tests.conftest import make_store
from tests.people import make_customer
from tests.shop import add_variant, config_of

KEEP = 3600
STOCKS = (0, 1, 5, None)  # None is not counted
LINES = 3  # fewer than there are variants, so that carts are full now and then
UNITS = st.integers(1, 600)
PLACES = st.integers(0, len(STOCKS) - 1)
ANYBODY = st.sampled_from(["own", "a", "b", "other"])


class Carts(RuleBasedStateMachine):
    """A customer, two guests and another customer. The model holds what each cart should have, by the variant's
    place, in the order in which it came there, and the note on it.
    """

    database_url: str
    runner: asyncio.Runner

    @initialize()
    def open_shop(self) -> None:
        self.engine = create_engine(self.database_url, pool_size=4)
        self.sessions = create_sessions(self.engine)
        self.store, self.customer, self.another, self.variants = self.run(self._open())
        self.config = config_of(self.store)
        self.carts: dict[str, Counter[int]] = {who: Counter() for who in ("own", "a", "b", "other")}
        self.notes: dict[str, str | None] = dict.fromkeys(self.carts)
        self.uuids: dict[str, UUID] = {}
        self.stocks = [9 if units is not None else None for units in STOCKS]

    async def _open(self):
        store = await make_store(self.sessions)
        people = [await make_customer(self.sessions, store, email=f"{who}@example.com") for who in "xy"]
        variants = [
            await add_variant(self.sessions, store, on_hand=9, tracked=units is not None) for units in STOCKS
        ]
        return store, *people, variants

    def run(self, call):
        return self.runner.run(call)

    def teardown(self) -> None:
        self.run(self.engine.dispose())

    def _whose(self, who: str) -> int | None:
        return {"own": self.customer, "other": self.another}.get(who)

    async def _change(self, who: str, place: int, quantity: int, *, add: bool) -> str | None:
        values = {
            "uuid": self.uuids.get(who),
            "customer_id": self._whose(who),
            "variant_id": self.variants[place],
            "quantity": quantity,
            "now": utc_now(),
            "keep_seconds": KEEP,
        }
        try:
            async with transaction(self.sessions) as session:
                if add:
                    self.uuids[who], _ = await add_item(session, self.config, **values)
                else:
                    await set_item(session, self.config, **values)
        except AppError as error:
            return error.code
        return None

    @rule(who=ANYBODY, place=PLACES, units=UNITS)
    def add(self, who: str, place: int, units: int) -> None:
        full = len(self.carts[who]) >= LINES and place not in self.carts[who]
        refused = self.run(self._change(who, place, units, add=True))
        if refused is None:
            assert not full
            self.carts[who][place] += units

    @rule(who=ANYBODY, place=PLACES)
    def remove(self, who: str, place: int) -> None:
        if who in self.uuids and self.run(self._change(who, place, 0, add=False)) is None:
            del self.carts[who][place]

    @rule(who=ANYBODY, note=st.sampled_from(["ring twice", "a gift", None]))
    def write(self, who: str, note: str | None) -> None:
        if who in self.uuids:
            self.run(self._write(who, note))
            self.notes[who] = note

    async def _write(self, who: str, note: str | None) -> None:
        async with transaction(self.sessions) as session:
            await write_words(
                session,
                self.config,
                CartWords(note=note),
                uuid=self.uuids[who],
                customer_id=self._whose(who),
                now=utc_now(),
                keep_seconds=KEEP,
            )

    @rule(place=PLACES, units=st.integers(0, 9))
    def restock(self, place: int, units: int) -> None:
        if self.stocks[place] is not None:
            self.stocks[place] = units
            self.run(
                self._execute(
                    "UPDATE stock_items SET on_hand = :units WHERE variant_id = :variant",
                    units=units,
                    variant=self.variants[place],
                )
            )

    async def _execute(self, statement: str, **values: object) -> None:
        async with transaction(self.sessions) as session:
            await session.execute(text(statement), values)

    @rule(who=st.sampled_from(["a", "b"]))
    def forget(self, who: str) -> None:
        """A guest's cart that was left for too long is nobody's, and its guest begins anew."""
        if who not in self.uuids:
            return
        uuid = self.uuids.pop(who)
        self.run(
            self._execute(
                "UPDATE carts SET expires_at = :then WHERE uuid = :uuid",
                then=utc_now() - timedelta(seconds=1),
                uuid=uuid,
            )
        )
        self.carts[who], self.notes[who] = Counter(), None
        assert not self.run(self._merge(uuid, replace=False)).found

    @rule(replace=st.booleans())
    def reach_for_anothers(self, replace: bool) -> None:
        if "other" in self.uuids:
            assert not self.run(self._merge(self.uuids["other"], replace=replace)).found

    @rule(
        who=st.sampled_from(["a", "b"]), replace=st.booleans(), at_once=st.booleans(), times=st.integers(1, 3)
    )
    def merge(self, who: str, replace: bool, at_once: bool, times: int) -> None:
        if who not in self.uuids:
            return
        guest, own = self.carts[who], self.carts["own"]
        has_cart = "own" in self.uuids
        uuid = self.uuids[who]
        taken = self.run(self._merge_often(uuid, replace=replace, at_once=at_once, times=times))
        assert all(one.found for one in taken)
        if not has_cart:  # the guest's cart became the customer's, as it was
            self.uuids["own"], self.carts["own"], self.carts[who] = self.uuids.pop(who), guest, Counter()
            self.notes["own"], self.notes[who] = self.notes[who], None
            assert not any(one.capped for one in taken)
            return
        if guest and (replace or self.notes["own"] is None):
            self.notes["own"] = self.notes[who]
        if replace and guest:
            own.clear()
        capped, left = {}, Counter()
        there = len(own)
        for place, units in guest.items():
            stock = self.stocks[place]
            most = MAX_QUANTITY if stock is None else stock
            wanted = own[place] + units
            kept = max(own[place], min(wanted, most), 1)
            if place not in own or not own[place]:
                del own[place]
                if there >= LINES:
                    left[place] = units  # it stays with the guest, and is told
                    capped[self.variants[place]] = (wanted, 0, CART_FULL)
                    continue
                there += 1
            own[place] = kept
            if kept < wanted:
                reason = "not_enough_stock" if stock is not None else "quantity_too_large"
                capped[self.variants[place]] = (wanted, kept, reason)
        self.carts[who] = left
        found = [{cap.variant_id: (cap.wanted, cap.kept, cap.reason) for cap in one.capped} for one in taken]
        # Whoever came first did it all. Whoever comes later only hears of what found no room.
        rest = {variant: told for variant, told in capped.items() if told[2] == CART_FULL}
        assert max(found, key=len) == capped
        assert sorted(found, key=len, reverse=True)[1:] == [rest] * (times - 1)

    async def _merge_often(self, uuid: UUID, *, replace: bool, at_once: bool, times: int) -> list[Taken]:
        if at_once:
            return list(await asyncio.gather(*(self._merge(uuid, replace=replace) for _ in range(times))))
        return [await self._merge(uuid, replace=replace) for _ in range(times)]

    async def _merge(self, uuid: UUID, *, replace: bool) -> Taken:
        async with transaction(self.sessions) as session:
            return await take_cart(
                session,
                self.store.id,
                customer_id=self.customer,
                uuid=uuid,
                replace=replace,
                now=utc_now(),
                keep_seconds=KEEP,
            )

    @invariant()
    def carts_hold_what_they_should(self) -> None:
        if not hasattr(self, "uuids"):
            return
        lines, notes = self.run(self._read())
        for who, uuid in self.uuids.items():
            wanted = {self.variants[place]: units for place, units in self.carts[who].items() if units}
            assert lines.get(uuid, {}) == wanted
            assert notes[uuid] == self.notes[who]

    async def _read(self) -> tuple[dict[UUID, dict[int, int]], dict[UUID, str | None]]:
        async with self.sessions() as session:
            rows = await session.execute(
                text(
                    "SELECT c.uuid, c.note, l.variant_id, l.quantity "
                    "FROM carts c LEFT JOIN cart_lines l ON l.cart_id = c.id WHERE c.store_id = :store"
                ),
                {"store": self.store.id},
            )
        lines: dict[UUID, dict[int, int]] = {}
        notes: dict[UUID, str | None] = {}
        for uuid, note, variant, quantity in rows:
            notes[uuid] = note
            if variant is not None:
                lines.setdefault(uuid, {})[variant] = quantity
        return lines, notes


def test_carts_merged_in_any_order_hold_what_the_model_says(database_url):
    with (
        asyncio.Runner() as runner,
        patch("app.domain.carts.merging.MAX_LINES", LINES),
        patch("app.domain.carts.service.MAX_LINES", LINES),
    ):
        machine = type("Bound", (Carts,), {"database_url": database_url, "runner": runner})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=20,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )
