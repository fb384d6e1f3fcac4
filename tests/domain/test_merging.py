"""Carts that are filled, merged and replaced in any order, beside a model in plain Python."""

import asyncio
from collections import Counter
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from app.db.session import create_engine, create_sessions, transaction
from app.domain.carts.models import MAX_QUANTITY
from app.domain.carts.service import add_item, set_item
from app.domain.checkout.claiming import take_cart
from app.kit.clock import utc_now
from app.kit.errors import AppError
from tests.conftest import make_store
from tests.people import make_customer
from tests.shop import add_variant

KEEP = 3600
STOCKS = (0, 1, 5, None)  # None is not counted
UNITS = st.integers(1, 600)
PLACES = st.integers(0, len(STOCKS) - 1)


class Carts(RuleBasedStateMachine):
    """A customer and two guests. The model holds what each cart should have, by the variant's place."""

    database_url: str
    runner: asyncio.Runner

    @initialize()
    def open_shop(self) -> None:
        self.engine = create_engine(self.database_url, pool_size=2)
        self.sessions = create_sessions(self.engine)
        self.store, self.customer, self.variants = self.run(self._open())
        self.carts: dict[str, Counter[int]] = {"own": Counter(), "a": Counter(), "b": Counter()}
        self.uuids: dict[str, UUID] = {}
        self.stocks = [9 if units is not None else None for units in STOCKS]

    async def _open(self):
        store = await make_store(self.sessions)
        customer = await make_customer(self.sessions, store)
        variants = [
            await add_variant(self.sessions, store, on_hand=9, tracked=units is not None) for units in STOCKS
        ]
        return store, customer, variants

    def run(self, call):
        return self.runner.run(call)

    def teardown(self) -> None:
        self.run(self.engine.dispose())

    async def _change(self, who: str, place: int, quantity: int, *, add: bool) -> bool:
        values = {
            "uuid": self.uuids.get(who),
            "customer_id": self.customer if who == "own" else None,
            "variant_id": self.variants[place],
            "quantity": quantity,
            "currency": "USD",
            "now": utc_now(),
            "keep_seconds": KEEP,
        }
        try:
            async with transaction(self.sessions) as session:
                if add:
                    self.uuids[who], _ = await add_item(session, self.store.id, **values)
                else:
                    await set_item(session, self.store.id, **values)
        except AppError:
            return False
        return True

    @rule(who=st.sampled_from(["own", "a", "b"]), place=PLACES, units=UNITS)
    def add(self, who: str, place: int, units: int) -> None:
        if self.run(self._change(who, place, units, add=True)):
            self.carts[who][place] += units

    @rule(who=st.sampled_from(["own", "a", "b"]), place=PLACES)
    def remove(self, who: str, place: int) -> None:
        if who in self.uuids and self.run(self._change(who, place, 0, add=False)):
            del self.carts[who][place]

    @rule(place=PLACES, units=st.integers(0, 9))
    def restock(self, place: int, units: int) -> None:
        if self.stocks[place] is not None:
            self.stocks[place] = units
            self.run(self._restock(self.variants[place], units))

    async def _restock(self, variant: int, units: int) -> None:
        async with transaction(self.sessions) as session:
            await session.execute(
                text("UPDATE stock_items SET on_hand = :units WHERE variant_id = :variant"),
                {"units": units, "variant": variant},
            )

    @rule(who=st.sampled_from(["a", "b"]), replace=st.booleans(), times=st.integers(1, 2))
    def merge(self, who: str, replace: bool, times: int) -> None:
        if who not in self.uuids:
            return
        guest, own = self.carts[who], self.carts["own"]
        has_cart = "own" in self.uuids
        taken = [self.run(self._merge(self.uuids[who], replace=replace)) for _ in range(times)]
        assert all(one.found for one in taken)
        if not has_cart:  # the guest's cart became the customer's, as it was
            self.uuids["own"], self.carts["own"], self.carts[who] = self.uuids.pop(who), guest, Counter()
            assert not any(one.capped for one in taken)
            return
        if replace and guest:
            own.clear()
        capped = {}
        for place, units in guest.items():
            stock = self.stocks[place]
            most = MAX_QUANTITY if stock is None else stock
            wanted = own[place] + units
            kept = max(own[place], min(wanted, most), 1)
            own[place] = kept
            if kept < wanted:
                capped[self.variants[place]] = (wanted, kept)
        guest.clear()
        assert {cap.variant_id: (cap.wanted, cap.kept) for cap in taken[0].capped} == capped
        assert not any(one.capped for one in taken[1:])

    async def _merge(self, uuid: UUID, *, replace: bool):
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
        found = self.run(self._read())
        for who, uuid in self.uuids.items():
            wanted = {self.variants[place]: units for place, units in self.carts[who].items() if units}
            assert found.get(uuid, {}) == wanted

    async def _read(self) -> dict[UUID, dict[int, int]]:
        async with self.sessions() as session:
            rows = await session.execute(
                text(
                    "SELECT c.uuid, l.variant_id, l.quantity FROM carts c JOIN cart_lines l ON l.cart_id = c.id "
                    "WHERE c.store_id = :store"
                ),
                {"store": self.store.id},
            )
        found: dict[UUID, dict[int, int]] = {}
        for uuid, variant, quantity in rows:
            found.setdefault(uuid, {})[variant] = quantity
        return found


def test_carts_merged_in_any_order_hold_what_the_model_says(database_url):
    with asyncio.Runner() as runner:
        machine = type("Bound", (Carts,), {"database_url": database_url, "runner": runner})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=10,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )
