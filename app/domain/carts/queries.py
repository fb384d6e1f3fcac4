"""What is read of carts; prices and stock come fresh from the catalogue each time."""

from datetime import datetime
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.reads import Reads
from app.db.statements import Statement, only_checked
from app.domain.carts.errors import cart_not_found
from app.domain.carts.models import Cart
from app.domain.catalogue.sale_items import Prices, SaleItem, UnitPrice, sale_item_sql
from app.domain.stores.queries import StoreConfig


class CartItem(msgspec.Struct, frozen=True):
    """A line with what the catalogue says of its variant now; item is None where the variant is gone.

    Prices in the cart's currency. added_price is what so many units cost their buyer each when the line was made,
    added_title what it was called.
    """

    id: int
    variant_id: int
    quantity: int
    added_price: int
    item: SaleItem | None
    added_title: str = ""


class CartView(msgspec.Struct, frozen=True):
    """A cart as it is shown and bought from.

    asked_currency is what it was made in; where the store has stopped selling in it, the cart is in the store's.
    """

    id: int
    uuid: UUID
    currency: str
    note: str | None
    attributes: list[Any]
    customer_id: int | None
    coupon_code: str | None
    items: tuple[CartItem, ...]
    asked_currency: str


class Added(msgspec.Struct, frozen=True, array_like=True):
    """What a line remembers of when it was made: all that a unit cost, in which currency, and whose buyer's groups."""

    price: int
    others: tuple[UnitPrice, ...]
    currency: str
    groups: tuple[str, ...]
    title: str


class _Line(msgspec.Struct, frozen=True, array_like=True):
    """A line as it is kept, with its variant as the catalogue has it."""

    id: int
    variant_id: int
    quantity: int
    added: Added
    item: SaleItem | None


def _cart_sql(*, which: str, shown: bool) -> str:
    """A cart with its lines and their variants: one statement, however many there are.

    The lines come in no order. Asked for the order of their ids, PostgreSQL may go through the lines of all carts by
    the index of these, while there are few.
    """
    item = sale_item_sql(store_id="l.store_id", variant_id="l.variant_id", shown=shown)
    return f"""
    SELECT c.id, c.uuid, c.currency, c.note, c.attributes, c.customer_id, c.coupon_code,
        (SELECT CAST(coalesce(json_agg(json_build_array(
                l.id, l.variant_id, l.quantity, json_build_array(
                    l.added_price, l.added_prices, l.added_currency, l.added_groups, l.added_title
                ), ({item})
            )), '[]') AS text) FROM cart_lines l WHERE l.cart_id = c.id) AS lines
    FROM carts c
    WHERE {which}
    """  # noqa: S608 - words of our own


# A cart of a customer answers to that customer only; a guest's to whoever knows its uuid.
_BY_UUID: Final = (
    "c.store_id = {store} AND c.expires_at > {now} AND c.uuid = {uuid}"
    " AND (c.customer_id IS NULL OR c.customer_id = {customer})"
)

_READ_BY_UUID: Final = _cart_sql(
    which=_BY_UUID.format(store="$1", now="$2", uuid="$3", customer="$4::bigint"), shown=True
)
_READ_CUSTOMERS: Final = _cart_sql(
    which="c.store_id = $1 AND c.expires_at > $2 AND c.customer_id = $3", shown=True
)
_LOAD_BY_ID: Final = {
    shown: Statement(
        _cart_sql(which=f"c.id = :cart_id AND {only_checked('c.store_id')} = :store_id", shown=shown),
        looks=True,
    )
    for shown in (True, False)
}
_LOAD_BY_UUID: Final = Statement(
    _cart_sql(
        which=_BY_UUID.format(
            store=":store_id", now=":now", uuid=":uuid", customer="CAST(:customer_id AS bigint)"
        ),
        shown=False,
    ),
    looks=True,
)
_COLUMNS: Final = ("id", "uuid", "currency", "note", "attributes", "customer_id", "coupon_code", "lines")
CART_COLUMNS: Final = ", ".join(f"cart.{name} AS in_cart_{name}" for name in _COLUMNS)


def cart_beside(*, cart_id: str, store_id: str) -> str:
    """What joins a cart, named `cart`, in a statement that selects CART_COLUMNS for `beside_view`.

    OFFSET 0 has it found by its id, as load_cart does; a join could go through all carts while these are few.
    """
    which = f"c.id = {cart_id} AND {only_checked('c.store_id')} = {store_id}"
    return f"CROSS JOIN LATERAL ({_cart_sql(which=which, shown=False)} OFFSET 0) cart"


_lines: Final = msgspec.json.Decoder(tuple[_Line, ...])


def _decoded(value: Any) -> Any:
    """JSON columns come as text from the raw driver and as objects from SQLAlchemy."""
    return msgspec.json.decode(value) if isinstance(value, str) else value


def shown_currency(store: StoreConfig, kept: str) -> str:
    """The currency of a cart that was made in another one: that, while the store sells in it, else the store's."""
    return kept if store.sells_in(kept) else store.currency


def added_price_in(
    store: StoreConfig, currency: str, item: SaleItem | None, *, quantity: int, added: Added
) -> int:
    """What a unit of so many cost when the line was made, in the currency that its cart has now.

    Where the variant costs today what it cost then, that is its price of today, so that another currency alone
    never looks like another price. Nor does another quantity: what is compared is what so many cost then.
    """
    price = added.price
    if added.others:
        price = Prices(price, added.others).best(quantity, added.groups)
    if added.currency in ("", currency):
        return price
    sold = store.sells_in(added.currency)
    if item is None:
        return store.convert(price, source=added.currency, target=currency) if sold else price
    if sold:
        there = item.sold_in(store.exchange_to(added.currency))
        if there.price_for(quantity, added.groups) != price:
            return store.convert(price, source=added.currency, target=currency)
    return item.sold_in(store.exchange_to(currency)).price_for(quantity, added.groups)


def _view(row: Any, store: StoreConfig) -> CartView:
    currency = shown_currency(store, row["currency"])
    exchange = store.exchange_to(currency)

    def entry(line: _Line) -> CartItem:
        item = line.item
        return CartItem(
            line.id,
            line.variant_id,
            line.quantity,
            added_price_in(store, currency, item, quantity=line.quantity, added=line.added),
            None if item is None else item.sold_in(exchange),
            line.added.title,
        )

    return CartView(
        id=row["id"],
        uuid=row["uuid"],
        currency=currency,
        asked_currency=row["currency"],
        note=row["note"],
        attributes=_decoded(row["attributes"]),
        customer_id=row["customer_id"],
        coupon_code=row["coupon_code"],
        items=tuple(entry(line) for line in sorted(_lines.decode(row["lines"]), key=attrgetter("id"))),
    )


def beside_view(row: Any, store: StoreConfig) -> CartView:
    """The cart that a statement with `cart_beside` found, as load_cart without `shown` would."""
    return _view({name: row[f"in_cart_{name}"] for name in _COLUMNS}, store)


async def get_cart(
    reads: Reads, store: StoreConfig, *, uuid: UUID, customer_id: int | None, now: datetime
) -> CartView:
    """The cart of a uuid, for a guest or its customer. Raises NotFound cart_not_found."""
    row = await reads.fetchrow(_READ_BY_UUID, store.id, now, uuid, customer_id)
    if row is None:
        raise cart_not_found()
    return _view(row, store)


async def find_cart(
    reads: Reads,
    store: StoreConfig,
    *,
    customer_id: int | None = None,
    uuid: UUID | None = None,
    now: datetime,
) -> CartView | None:
    """The cart of a customer, else the guest's of a uuid; None where there is none."""
    if customer_id is not None:
        row = await reads.fetchrow(_READ_CUSTOMERS, store.id, now, customer_id)
    else:
        row = await reads.fetchrow(_READ_BY_UUID, store.id, now, uuid, None)
    return None if row is None else _view(row, store)


async def find_cart_id(session: AsyncSession, store_id: int, *, customer_id: int) -> int | None:
    """Which cart is the customer's, inside a transaction."""
    found: int | None = await session.scalar(
        select(Cart.id).where(Cart.store_id == store_id, Cart.customer_id == customer_id)
    )
    return found


async def load_cart(
    session: AsyncSession, store: StoreConfig, cart_id: int, *, shown: bool = False
) -> CartView:
    """The cart of an id, inside a transaction, also past its life: a checkout of it may still be open.

    Its variants have what a price depends on; with `shown` also what only a page that shows them looks at.
    Raises NotFound cart_not_found.
    """
    row = await _LOAD_BY_ID[shown].row(session, store_id=store.id, cart_id=cart_id)
    if row is None:
        raise cart_not_found()
    return _view(row, store)


async def load_cart_of(
    session: AsyncSession, store: StoreConfig, *, uuid: UUID, customer_id: int | None, now: datetime
) -> CartView:
    """As load_cart without `shown`, of a uuid that may be bought by a guest or its customer."""
    row = await _LOAD_BY_UUID.row(session, store_id=store.id, uuid=uuid, customer_id=customer_id, now=now)
    if row is None:
        raise cart_not_found()
    return _view(row, store)
