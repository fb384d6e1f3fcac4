"""What units of an order's lines are worth when they are paid back, and that none is paid back twice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Integer, Row, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.inventory.service import Returned
from app.domain.orders.errors import NOTHING_TO_REFUND
from app.domain.orders.models import Order, OrderLine
from app.domain.orders.queries import OrderView
from app.kit.errors import Invalid
from app.kit.money import round_half_up

_TAKE: Final = text(
    """
    UPDATE order_lines l
    SET refunded = l.refunded + wanted.quantity,
        came_back = l.came_back + wanted.sent_back,
        dropped = least(
            greatest(l.dropped, l.refunded + wanted.quantity - l.came_back - wanted.sent_back), l.quantity - l.shipped
        )
    FROM unnest(:ids, :quantities, :sent_back) AS wanted (id, quantity, sent_back)
    WHERE l.store_id = :store_id AND l.order_id = :order_id AND l.id = wanted.id
      AND l.refunded + wanted.quantity BETWEEN 0 AND l.quantity
      AND l.came_back + wanted.sent_back BETWEEN 0 AND l.shipped
    RETURNING l.id, l.title, l.quantity, l.refunded, wanted.quantity AS units,
        l.line_price - l.discount + CASE WHEN :tax_included THEN 0 ELSE l.tax END AS paid
    """
).bindparams(
    bindparam("ids", type_=ARRAY(BigInteger)),
    bindparam("quantities", type_=ARRAY(Integer)),
    bindparam("sent_back", type_=ARRAY(Integer)),
)
# What went back for units of a line, or is about to, whether they count as paid back or not.
_GIVEN: Final = text(
    """
    SELECT l.id, l.quantity, l.refunded, coalesce(sum(part.amount), 0)::bigint AS given,
        l.line_price - l.discount + CASE WHEN :tax_included THEN 0 ELSE l.tax END AS paid
    FROM order_lines l LEFT JOIN (
        SELECT part.line_id, part.amount
        FROM payments p JOIN refund_orders r ON r.store_id = p.store_id AND r.payment_id = p.id AND r.state <> 'failed'
        CROSS JOIN jsonb_to_recordset(r.lines) AS part (line_id bigint, amount bigint)
        WHERE p.store_id = :store_id AND p.order_id = :order_id
    ) part ON part.line_id = l.id
    WHERE l.store_id = :store_id AND l.order_id = :order_id
    GROUP BY l.id
    """
)


class RefundedLine(msgspec.Struct, frozen=True):
    """Units of a line that are paid back, and what they are worth with their tax, in minor units."""

    line_id: int
    quantity: int
    amount: int
    title: str
    # They had been shipped, and came back.
    sent_back: bool = False


def worth_of(paid: int, quantity: int, *, before: int, after: int) -> int:
    """What the units are worth that bring a line from `before` to `after` units paid back.

    All of them together, however they are told apart, come to exactly what was paid for the line.
    """
    return round_half_up(paid * after, quantity) - round_half_up(paid * before, quantity)


def units_covered(paid: int, quantity: int, *, counted: int, named: int, given: int) -> int:
    """How many units of a line are still paid back where a refund of the `named` among them has failed.

    As many as what was given back for the line comes to; never fewer than without the named ones.
    """
    left = max(0, counted - named)
    while left < counted and given > worth_of(paid, quantity, before=0, after=left):
        if worth_of(paid, quantity, before=0, after=left + 1) > given:
            break
        left += 1
    return left


def share_lines(lines: Sequence[RefundedLine], parts: Sequence[int]) -> list[list[RefundedLine]]:
    """Which lines each part of a refund is for, the sums of the parts in minor units: one line after the other.

    So a part that fails leaves as many units as may be wholly paid back.
    """
    left = {line.line_id: line.amount for line in lines}
    shared = []
    for place, part in enumerate(parts):
        rest = part
        mine = []
        for line in lines:
            amount = min(rest, left[line.line_id])
            if amount or (not line.amount and not place):
                mine.append(msgspec.structs.replace(line, amount=amount))
                left[line.line_id] -= amount
                rest -= amount
        shared.append(mine)
    return shared


async def take_back_units(
    session: AsyncSession, order: Order, quantities: Mapping[int, int], *, sent_back: bool = False
) -> list[RefundedLine]:
    """Count units of lines, {line id: units}, as paid back; what they are worth. The caller holds the order's lock.

    Of a line of which some are shipped and some are not, those that are not come first: they stay here, and before
    all those that stay here already, since a refund of them has failed. `sent_back` says that they had been shipped
    and came back: then all that is not shipped yet still goes. What a part of such a refund gave back
    already is not given a second time.
    Raises Invalid nothing_to_refund where a line has not that many left, or all of them cost nothing.
    """
    if not quantities or min(quantities.values()) < 1:
        raise Invalid.at("lines", NOTHING_TO_REFUND, "Say how many units of which line.")
    begun = await list_begun(session, order)
    found = [
        msgspec.structs.replace(line, amount=max(0, line.amount - begun.get(line.line_id, 0)))
        for line in await _move(session, order, quantities, sent_back=quantities if sent_back else {})
    ]
    if missing := sorted(set(quantities) - {line.line_id for line in found}):
        raise Invalid.at(
            "lines",
            NOTHING_TO_REFUND,
            f"Line {missing[0]} has not that many {'shipped ' if sent_back else ''}units that are still to be paid back.",
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
    """Count units as paid for again, of which a refund, or a part of one, has failed. The caller holds the order's lock.

    Those that the other parts cover stay paid back; what they gave beyond that counts for the next unit. What was
    not to be shipped any more still is not: it is to be paid back in another way, or named to be shipped.
    """
    named = {line.line_id: line for line in lines}
    again: dict[int, int] = {}
    for row in await _read_given(session, order):
        if row.id in named:
            units = named[row.id].quantity
            stay = units_covered(row.paid, row.quantity, counted=row.refunded, named=units, given=row.given)
            if stay < row.refunded:
                again[row.id] = stay - row.refunded
    if again:
        sent_back = {line_id: moved for line_id, moved in again.items() if named[line_id].sent_back}
        await _move(session, order, again, sent_back=sent_back)


async def list_begun(session: AsyncSession, order: Order | OrderView) -> dict[int, int]:
    """What went back for units that do not count as paid back, since the rest of it failed: {line id: minor units}."""
    found = {}
    for row in await _read_given(session, order):
        beyond = row.given - worth_of(row.paid, row.quantity, before=0, after=row.refunded)
        if beyond > 0:
            found[row.id] = beyond
    return found


async def _read_given(session: AsyncSession, order: Order | OrderView) -> Sequence[Row[Any]]:
    scope = {"store_id": order.store_id, "order_id": order.id, "tax_included": order.tax_included}
    return (await session.execute(_GIVEN, scope)).all()


async def _move(
    session: AsyncSession, order: Order, quantities: Mapping[int, int], *, sent_back: Mapping[int, int]
) -> list[RefundedLine]:
    rows = await session.execute(
        _TAKE,
        {
            "store_id": order.store_id,
            "order_id": order.id,
            "tax_included": order.tax_included,
            "ids": sorted(quantities),
            "quantities": [quantities[line_id] for line_id in sorted(quantities)],
            "sent_back": [sent_back.get(line_id, 0) for line_id in sorted(quantities)],
        },
    )
    return [
        RefundedLine(
            row.id,
            row.units,
            worth_of(row.paid, row.quantity, before=row.refunded - row.units, after=row.refunded),
            row.title,
            row.id in sent_back,
        )
        for row in rows
    ]
