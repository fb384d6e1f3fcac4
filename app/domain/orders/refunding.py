"""What units of an order's lines are worth when they are paid back, and that none is paid back twice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Integer, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.inventory.service import Returned
from app.domain.orders.errors import NOTHING_TO_REFUND
from app.domain.orders.models import Order, OrderLine
from app.kit.errors import Invalid
from app.kit.money import round_half_up

_TAKE: Final = text(
    """
    UPDATE order_lines l
    SET refunded = l.refunded + wanted.quantity,
        dropped = least(greatest(l.dropped, l.refunded + wanted.quantity), l.quantity - l.shipped)
    FROM unnest(:ids, :quantities) AS wanted (id, quantity)
    WHERE l.store_id = :store_id AND l.order_id = :order_id AND l.id = wanted.id
      AND l.refunded + wanted.quantity BETWEEN 0 AND l.quantity
    RETURNING l.id, l.title, l.quantity, l.refunded, wanted.quantity AS units,
        l.line_price - l.discount + CASE WHEN :tax_included THEN 0 ELSE l.tax END AS paid
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)), bindparam("quantities", type_=ARRAY(Integer)))


class RefundedLine(msgspec.Struct, frozen=True):
    """Units of a line that are paid back, and what they are worth with their tax, in minor units."""

    line_id: int
    quantity: int
    amount: int
    title: str


def worth_of(paid: int, quantity: int, *, before: int, after: int) -> int:
    """What the units are worth that bring a line from `before` to `after` units paid back.

    All of them together, however they are told apart, come to exactly what was paid for the line.
    """
    return round_half_up(paid * after, quantity) - round_half_up(paid * before, quantity)


async def take_back_units(
    session: AsyncSession, order: Order, quantities: Mapping[int, int]
) -> list[RefundedLine]:
    """Count units of lines, {line id: units}, as paid back; what they are worth. The caller holds the order's lock.

    Of a line of which some are shipped and some are not, those that are not come first: they stay here, and before
    all those that stay here already, since a refund of them has failed.
    Raises Invalid nothing_to_refund where a line has not that many left, or all of them cost nothing.
    """
    if not quantities or min(quantities.values()) < 1:
        raise Invalid.at("lines", NOTHING_TO_REFUND, "Say how many units of which line.")
    found = await _move(session, order, quantities)
    if missing := sorted(set(quantities) - {line.line_id for line in found}):
        raise Invalid.at(
            "lines",
            NOTHING_TO_REFUND,
            f"Line {missing[0]} has not that many units that are still to be paid back.",
        )
    if not sum(line.amount for line in found):
        raise Invalid.at("lines", NOTHING_TO_REFUND, "These units cost nothing.")
    return found


async def count_by_variant(
    session: AsyncSession, order: Order, lines: Sequence[RefundedLine]
) -> dict[int, Returned]:
    """How many units of each variant lines of an order are about, and how many of it are not the buyer's any more.

    That is what was paid back, or stays here although its refund has failed.
    """
    units = {line.line_id: line.quantity for line in lines}
    found = await session.execute(
        select(
            OrderLine.id, OrderLine.variant_id, func.greatest(OrderLine.refunded, OrderLine.dropped)
        ).where(OrderLine.store_id == order.store_id, OrderLine.order_id == order.id)
    )
    counted: Counter[int] = Counter()
    most: Counter[int] = Counter()
    for line_id, variant_id, gone in found:
        counted[variant_id] += units.get(line_id, 0)
        most[variant_id] += gone
    return {variant_id: Returned(count, most[variant_id]) for variant_id, count in counted.items() if count}


async def put_units_again(session: AsyncSession, order: Order, lines: Sequence[RefundedLine]) -> None:
    """Count units as paid for again, whose refund has failed. The caller holds the order's lock.

    What was not to be shipped any more still is not: it is to be paid back in another way, or named to be shipped.
    """
    if lines:
        await _move(session, order, {line.line_id: -line.quantity for line in lines})


async def _move(session: AsyncSession, order: Order, quantities: Mapping[int, int]) -> list[RefundedLine]:
    rows = await session.execute(
        _TAKE,
        {
            "store_id": order.store_id,
            "order_id": order.id,
            "tax_included": order.tax_included,
            "ids": sorted(quantities),
            "quantities": [quantities[line_id] for line_id in sorted(quantities)],
        },
    )
    return [
        RefundedLine(
            row.id,
            row.units,
            worth_of(row.paid, row.quantity, before=row.refunded - row.units, after=row.refunded),
            row.title,
        )
        for row in rows
    ]
