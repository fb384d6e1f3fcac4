"""What may be put into a cart. One line per variant; the line's quantity is bounded by stock and by 999."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.statements import Statement, only_checked
from app.domain.carts.errors import (
    CART_FULL,
    QUANTITY_TOO_LARGE,
    VARIANT_NOT_FOUND,
    cart_not_found,
)
from app.domain.carts.models import MAX_LINES, MAX_QUANTITY
from app.domain.carts.queries import Added, CartItem, added_price_in, shown_currency
from app.domain.catalogue.sale_items import SaleItem, list_sale_items
from app.domain.inventory.errors import NOT_ENOUGH_STOCK
from app.domain.stores.currencies import check_currency
from app.domain.stores.queries import StoreConfig
from app.kit.errors import Invalid
from app.kit.ids import new_uuid

# Finding a cart for a change also keeps it alive, and locks it: changes to one cart follow each other. One that
# was empty begins anew, and can be left anew.
_TOUCH: Final = Statement(
    """
    UPDATE carts SET updated_at = :now, expires_at = :expires_at,
        abandoned_at = CASE WHEN EXISTS (SELECT FROM cart_lines l WHERE l.cart_id = carts.id)
            THEN abandoned_at END
    WHERE store_id = :store_id AND uuid = :uuid AND expires_at > :now
      AND (customer_id IS NULL OR customer_id = CAST(:customer_id AS bigint))
    RETURNING id, currency
    """
)

_TOUCH_CUSTOMERS: Final = Statement(
    """
    INSERT INTO carts (store_id, uuid, customer_id, currency, updated_at, expires_at)
    VALUES (:store_id, :new_uuid, :customer_id, :currency, :now, :expires_at)
    ON CONFLICT (store_id, customer_id) WHERE customer_id IS NOT NULL
        DO UPDATE SET updated_at = EXCLUDED.updated_at, expires_at = EXCLUDED.expires_at,
            abandoned_at = CASE WHEN EXISTS (SELECT FROM cart_lines l WHERE l.cart_id = carts.id)
                THEN carts.abandoned_at END
    RETURNING id, uuid, currency
    """
)

# A new line, and what it remembers. Whose groups the buyer is in is asked where there are prices for some only.
_COLUMNS: Final = """store_id, cart_id, variant_id, quantity,
        added_price, added_prices, added_currency, added_groups, added_title"""
_ADDED: Final = """:variant_id, :quantity, :price, CAST(:prices AS jsonb), :currency, CASE WHEN :prices = '[]' THEN '{}'
        ELSE coalesce((
            SELECT c.groups FROM customers c
            WHERE c.store_id = :store_id AND c.id = CAST(:customer_id AS bigint)
        ), '{}') END, :title"""
_REMEMBERED: Final = """id, quantity, CAST(json_build_array(
        added_price, added_prices, added_currency, added_groups, added_title
    ) AS text) AS added"""

# A cart that is not there yet begins with its first line.
_BEGIN: Final = Statement(
    f"""
    WITH made AS (
        INSERT INTO carts (store_id, uuid, currency, updated_at, expires_at)
        VALUES (:store_id, :new_uuid, :currency, :now, :expires_at)
        RETURNING id
    )
    INSERT INTO cart_lines ({_COLUMNS})
    SELECT :store_id, made.id, {_ADDED} FROM made
    RETURNING {_REMEMBERED}, true AS is_new, 0 AS line_count
    """  # noqa: S608 - words of our own
)

_ADD: Final = Statement(
    f"""
    INSERT INTO cart_lines AS l ({_COLUMNS})
    VALUES (:store_id, :cart_id, {_ADDED})
    ON CONFLICT (cart_id, variant_id)
        DO UPDATE SET quantity = l.quantity + EXCLUDED.quantity
        WHERE l.quantity + EXCLUDED.quantity <= :most
    RETURNING {_REMEMBERED}, xmax = 0 AS is_new,
        (SELECT count(*) FROM cart_lines o WHERE o.cart_id = l.cart_id) AS line_count
    """  # noqa: S608 - words of our own
)

_SET: Final = Statement(
    f"""
    INSERT INTO cart_lines AS l ({_COLUMNS})
    VALUES (:store_id, :cart_id, {_ADDED})
    ON CONFLICT (cart_id, variant_id) DO UPDATE SET quantity = EXCLUDED.quantity
    RETURNING {_REMEMBERED}, xmax = 0 AS is_new,
        (SELECT count(*) FROM cart_lines o WHERE o.cart_id = l.cart_id) AS line_count
    """  # noqa: S608 - words of our own
)

_REMOVE: Final = Statement(
    "DELETE FROM cart_lines WHERE store_id = :store_id AND cart_id = :cart_id AND variant_id = :variant_id"
)


# What was bought leaves the cart; what was added meanwhile stays. A line is looked at once, where it is locked: of a
# DELETE and an UPDATE that each look for themselves, both may pass by one that is changed meanwhile.
def _taken_out(bought: str) -> str:
    """Parts of a statement that take out of a cart what `bought` has, and lock the lines in one order.

    `bought` goes behind FROM and ends in an item named b, of (variant_id, quantity).
    """
    return f"""
    in_cart AS MATERIALIZED (
        SELECT l.id, l.quantity - b.quantity AS stays
        FROM {bought} JOIN cart_lines l USING (variant_id)
        WHERE l.cart_id = :cart_id AND {only_checked("l.store_id")} = :store_id
        ORDER BY l.id FOR UPDATE OF l
    ),
    emptied AS (DELETE FROM cart_lines l USING in_cart i WHERE l.id = i.id AND i.stays <= 0),
    lessened AS (UPDATE cart_lines l SET quantity = i.stays FROM in_cart i WHERE l.id = i.id AND i.stays > 0)
    """  # noqa: S608 - words of our own


_OF_ORDER: Final = f"""(
    SELECT variant_id, sum(quantity)::integer AS quantity FROM order_lines
    WHERE order_id = :order_id AND {only_checked("store_id")} = :store_id AND NOT gift GROUP BY 1
) b"""  # noqa: S608 - words of our own
_TAKE_OUT: Final = Statement(f"WITH {_taken_out(_OF_ORDER)} SELECT")


def taken_out(*, once: str) -> str:
    """How what is bought leaves its cart, as a part of the statement that buys it.

    `once` names what has a row where it is bought. Its values are those of `taken_out_values`.
    """
    return _taken_out(
        f"{once}, unnest(CAST(:bought AS bigint[]), CAST(:bought_units AS integer[])) AS b (variant_id, quantity)"
    )


def taken_out_values(cart_id: int, bought: Mapping[int, int]) -> dict[str, Any]:
    """The values of `taken_out` beside the store, for {variant id: units}."""
    return {"cart_id": cart_id, "bought": list(bought), "bought_units": list(bought.values())}


_LOCK: Final = Statement("SELECT FROM carts WHERE store_id = :store_id AND id = :cart_id FOR NO KEY UPDATE")

# What was written about an order goes with it; what was written meanwhile stays.
_TAKE_WORDS: Final = Statement(
    """
    UPDATE carts c SET note = NULL, attributes = '[]'
    FROM orders o
    WHERE c.store_id = :store_id AND c.id = :cart_id AND o.store_id = :store_id AND o.id = :order_id
      AND c.note IS NOT DISTINCT FROM o.note AND c.attributes = o.attributes
    """
)
_added: Final = msgspec.json.Decoder(Added)


@dataclass(frozen=True, slots=True)
class _Touched:
    """A cart that is about to change, locked; currency is the one that it is shown in."""

    id: int
    uuid: UUID
    currency: str


def _life(now: datetime, keep_seconds: int) -> dict[str, datetime]:
    return {"now": now, "expires_at": now + timedelta(seconds=keep_seconds)}


async def _touch(
    session: AsyncSession,
    store: StoreConfig,
    *,
    uuid: UUID | None,
    customer_id: int | None,
    life: dict[str, datetime],
) -> _Touched | None:
    """The cart of a uuid, for a guest or its customer; None where there is none."""
    if uuid is None:
        return None
    found = await _TOUCH.row(session, store_id=store.id, uuid=uuid, customer_id=customer_id, **life)
    if found is None:
        return None
    return _Touched(found["id"], uuid, shown_currency(store, found["currency"]))


async def _touch_customers(
    session: AsyncSession,
    store: StoreConfig,
    *,
    customer_id: int,
    currency: str,
    life: dict[str, datetime],
) -> _Touched:
    """The cart of a customer, made where there is none."""
    own = await _TOUCH_CUSTOMERS.one(
        session,
        store_id=store.id,
        new_uuid=new_uuid(),
        customer_id=customer_id,
        currency=currency,
        **life,
    )
    return _Touched(own["id"], own["uuid"], shown_currency(store, own["currency"]))


async def _get_sale_item(session: AsyncSession, store: StoreConfig, variant_id: int) -> SaleItem:
    items = await list_sale_items(session, store.id, [variant_id])
    if not items or not items[0].on_sale:
        raise Invalid.at("product_id", VARIANT_NOT_FOUND, "There is no such variant on sale.")
    return items[0]


def quantity_too_large() -> Invalid:
    return Invalid.at("quantity", QUANTITY_TOO_LARGE, f"A line holds at most {MAX_QUANTITY} units.")


def check_quantity(item: SaleItem, quantity: int) -> None:
    """Raise Invalid where a line cannot have this many: quantity_too_large or not_enough_stock."""
    if quantity > MAX_QUANTITY:
        raise quantity_too_large()
    available = item.available_units
    if available is not None and quantity > available:
        raise Invalid.at(
            "quantity",
            NOT_ENOUGH_STOCK,
            f"Only {available} left." if available else "Sold out.",
            available=available,
        )


async def add_item(
    session: AsyncSession,
    store: StoreConfig,
    *,
    uuid: UUID | None,
    customer_id: int | None,
    variant_id: int,
    quantity: int,
    currency: str | None = None,
    now: datetime,
    keep_seconds: int,
) -> tuple[UUID, CartItem]:
    """Add units of a variant to a cart, making the cart where there is none; what is there adds up.

    currency is that of a cart that is made, the store's own where it is None; a cart that is there keeps its own.
    Answers the cart's uuid and the line. Raises Invalid variant_not_found, not_enough_stock,
    quantity_too_large, cart_full or currency_not_offered. Parallel calls on one cart follow each other.
    """
    check_currency(store, currency)
    currency = currency or store.currency
    life = _life(now, keep_seconds)
    item = await _get_sale_item(session, store, variant_id)
    cart = await _touch(session, store, uuid=uuid, customer_id=customer_id, life=life)
    if cart is None and customer_id is not None:
        cart = await _touch_customers(session, store, customer_id=customer_id, currency=currency, life=life)
    if cart is not None:
        return cart.uuid, await _write(
            session,
            _ADD.row,
            store,
            item,
            quantity,
            currency=cart.currency,
            cart_id=cart.id,
            customer_id=customer_id,
        )
    made = new_uuid()
    check_quantity(item, quantity)  # what is written has taken effect
    line = await _write(
        session,
        _BEGIN.last,
        store,
        item,
        quantity,
        currency=currency,
        new_uuid=made,
        customer_id=customer_id,
        **life,
    )
    return made, line


async def set_item(
    session: AsyncSession,
    store: StoreConfig,
    *,
    uuid: UUID,
    customer_id: int | None,
    variant_id: int,
    quantity: int,
    now: datetime,
    keep_seconds: int,
) -> CartItem | None:
    """Set how many of a variant a cart holds; 0 removes the line and answers None. Errors as add_item."""
    life = _life(now, keep_seconds)
    cart = await _touch(session, store, uuid=uuid, customer_id=customer_id, life=life)
    if cart is None:
        raise cart_not_found()
    if quantity == 0:
        await _REMOVE.rows(session, store_id=store.id, cart_id=cart.id, variant_id=variant_id)
        return None
    item = await _get_sale_item(session, store, variant_id)
    return await _write(
        session,
        _SET.row,
        store,
        item,
        quantity,
        currency=cart.currency,
        cart_id=cart.id,
        customer_id=customer_id,
    )


async def remove_item(
    session: AsyncSession,
    store: StoreConfig,
    *,
    uuid: UUID,
    customer_id: int | None,
    variant_id: int,
    now: datetime,
    keep_seconds: int,
) -> None:
    """Take a variant out of a cart; twice is fine. Raises NotFound cart_not_found."""
    await set_item(
        session,
        store,
        uuid=uuid,
        customer_id=customer_id,
        variant_id=variant_id,
        quantity=0,
        now=now,
        keep_seconds=keep_seconds,
    )


async def _write(
    session: AsyncSession,
    write: Callable[..., Awaitable[Any]],
    store: StoreConfig,
    kept: SaleItem,
    quantity: int,
    *,
    currency: str,
    **cart: Any,
) -> CartItem:
    """Write a line; kept is its variant as the catalogue has it. The line that is answered is in the cart's currency."""
    item = kept.sold_in(store.exchange_to(currency))
    row = await write(
        session,
        store_id=store.id,
        variant_id=item.variant_id,
        quantity=quantity,
        price=item.price,
        prices=msgspec.json.encode(item.prices.others).decode(),
        currency=currency,
        title=item.title,
        most=MAX_QUANTITY,
        **cart,
    )
    if row is None:
        raise quantity_too_large()
    check_quantity(item, row["quantity"])
    if row["is_new"] and row["line_count"] >= MAX_LINES:
        raise Invalid(CART_FULL, f"A cart holds at most {MAX_LINES} different variants.")
    added = _added.decode(row["added"])
    price = added_price_in(store, currency, kept, quantity=row["quantity"], added=added)
    return CartItem(row["id"], item.variant_id, row["quantity"], price, item, added.title)


async def lock_cart(session: AsyncSession, store_id: int, cart_id: int) -> None:
    """Lock a cart before its lines, as whoever changes one of these does."""
    await _LOCK.rows(session, store_id=store_id, cart_id=cart_id)


async def take_out_bought(session: AsyncSession, store_id: int, cart_id: int, *, order_id: int) -> None:
    """Take what an order bought out of its cart, once per order: the caller holds the order's lock."""
    await _TAKE_OUT.rows(session, store_id=store_id, cart_id=cart_id, order_id=order_id)


async def take_out_words(session: AsyncSession, store_id: int, cart_id: int, *, order_id: int) -> None:
    """Take the note and the attributes that an order has out of its cart, unless they are others by now."""
    await _TAKE_WORDS.rows(session, store_id=store_id, cart_id=cart_id, order_id=order_id)
