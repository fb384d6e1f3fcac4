"""How uses of coupons and of limited promotions are counted: held while a checkout is paid, kept once its order
is placed, given back where it is not, or where the order is cancelled.

The counters stand in the rows of promotion and coupon, and one conditional UPDATE raises them, so that no
number of parallel checkouts gets past a limit. That UPDATE also makes the users of one promotion follow each
other, and so the count of one customer's uses, taken afterwards, is the count of all that came before. A first
order is one, however many promotions there are for it: those who want one follow each other by who they are.

Whoever calls holds the checkout's lock. Promotions are locked before who the buyer is (an advisory lock), and that
before coupons, each in one order, and all before stock; where uses are given back, promotions before coupons.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, LargeBinary, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.promotions import errors
from app.domain.promotions.codes import mail_digest
from app.domain.promotions.quotes import Applied, Refusal

_IDS: Final = bindparam("ids", type_=ARRAY(BigInteger))
_RAISE: Final = """
    WITH locked AS (
        SELECT id FROM {table} WHERE store_id = :store_id AND id = ANY(:ids) AND (uses < max_uses) IS NOT FALSE
        ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE {table} t SET uses = t.uses + 1 FROM locked
    WHERE t.id = locked.id AND (t.uses < t.max_uses) IS NOT FALSE
    RETURNING t.id
"""
_RAISE_PROMOTIONS: Final = text(_RAISE.format(table="promotions") + ", t.first_order").bindparams(_IDS)
# Whoever the buyer is, by account and by mail address, buys for a first order in this transaction alone.
_LOCK_BUYER: Final = text(
    """
    SELECT pg_advisory_xact_lock(who.key) FROM (
        SELECT DISTINCT hashtextextended(concat('first order of ', :store_id, ' ', name), 0) AS key
        FROM unnest(ARRAY[CAST(:customer_id AS text), encode(:digest, 'hex')]) AS name WHERE name IS NOT NULL ORDER BY 1
    ) who
    """
).bindparams(
    bindparam("store_id", type_=BigInteger),
    bindparam("customer_id", type_=BigInteger),
    bindparam("digest", type_=LargeBinary),
)
_RAISE_COUPONS: Final = text(_RAISE.format(table="coupons")).bindparams(_IDS)

# A customer is the account or the mail address, whichever has used it; nobody has two first orders, whichever
# promotions are for them. A use that this checkout gave back earlier is held again.
_HOLD: Final = text(
    """
    INSERT INTO coupon_uses AS u (
        store_id, promotion_id, coupon_id, checkout_id, customer_id, email_digest, state, created_at, updated_at
    )
    SELECT :store_id, p.id, wanted.coupon_id, :checkout_id, :customer_id, :digest, 'held', :now, :now
    FROM unnest(:ids, :coupon_ids) AS wanted (promotion_id, coupon_id)
    JOIN promotions p ON p.store_id = :store_id AND p.id = wanted.promotion_id
    WHERE (p.max_per_customer IS NULL AND NOT p.first_order)
      OR least(p.max_per_customer, CASE WHEN p.first_order THEN 1 END) > (
        SELECT count(*) FROM coupon_uses o
        WHERE o.promotion_id = ANY(CASE WHEN p.first_order THEN
                ARRAY(SELECT f.id FROM promotions f WHERE f.store_id = :store_id AND f.first_order)
            ELSE ARRAY[p.id] END)
          AND o.state <> 'returned' AND o.checkout_id <> :checkout_id
          AND (o.customer_id = :customer_id OR o.email_digest = :digest)
    )
    ON CONFLICT (store_id, checkout_id, promotion_id) DO UPDATE
        SET coupon_id = excluded.coupon_id, customer_id = excluded.customer_id,
            email_digest = excluded.email_digest, state = 'held', updated_at = excluded.updated_at
        WHERE u.state = 'returned'
    RETURNING promotion_id
    """
).bindparams(
    _IDS,
    bindparam("coupon_ids", type_=ARRAY(BigInteger)),
    bindparam("customer_id", type_=BigInteger),
    bindparam("digest", type_=LargeBinary),
)
_KEEP: Final = text(
    """
    UPDATE coupon_uses SET state = 'used', updated_at = :now
    WHERE store_id = :store_id AND checkout_id = :checkout_id AND state = 'held'
    """
)
_GIVE_BACK: Final = text(
    """
    UPDATE coupon_uses SET state = 'returned', updated_at = :now
    WHERE store_id = :store_id AND checkout_id = :checkout_id AND state <> 'returned'
    RETURNING promotion_id, coupon_id
    """
)
_LOWER: Final = """
    WITH locked AS (
        SELECT id FROM {table} WHERE store_id = :store_id AND id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE {table} t SET uses = t.uses - 1 FROM locked WHERE t.id = locked.id
"""
_LOWER_PROMOTIONS: Final = text(_LOWER.format(table="promotions")).bindparams(_IDS)
_LOWER_COUPONS: Final = text(_LOWER.format(table="coupons")).bindparams(_IDS)


class Lost:
    """A use that could not be had: whose promotion it is, and why."""

    def __init__(self, promotion_id: int, code: str | None, why: Refusal) -> None:
        self.promotion_id = promotion_id
        self.code = code
        self.why = why


async def hold_uses(
    session: AsyncSession,
    store_id: int,
    *,
    checkout_id: int,
    applied: Sequence[Applied],
    customer_id: int | None,
    email: str | None,
    now: datetime,
) -> Lost | None:
    """Take one use of each limited promotion of a quote for a checkout, or say which one ran out.

    Where one is lost none is held; the caller must end its transaction without committing it. Four statements at most,
    and three more to let go of what was held.
    """
    limited = {entry.promotion_id: entry for entry in applied if entry.limited}
    if not limited:
        return None
    values = {"store_id": store_id, "ids": sorted(limited)}
    who = {"customer_id": customer_id, "digest": mail_digest(email)}
    for_first_order: dict[int, bool] = dict((await session.execute(_RAISE_PROMOTIONS, values)).all())
    coupons: set[int] = set()

    async def lost(promotion_id: int, why: str) -> Lost:
        await session.execute(_GIVE_BACK, {"store_id": store_id, "checkout_id": checkout_id, "now": now})
        await session.execute(_LOWER_PROMOTIONS, {"store_id": store_id, "ids": sorted(for_first_order)})
        await session.execute(_LOWER_COUPONS, {"store_id": store_id, "ids": sorted(coupons)})
        return Lost(promotion_id, limited[promotion_id].code, errors.refusal(why))

    if gone := [promotion_id for promotion_id in limited if promotion_id not in for_first_order]:
        return await lost(gone[0], errors.COUPON_USED_UP)
    if any(for_first_order.values()):
        await session.execute(_LOCK_BUYER, {"store_id": store_id, **who})
    with_coupon = {entry.coupon_id: entry for entry in limited.values() if entry.coupon_id is not None}
    if with_coupon:
        raised = await session.execute(_RAISE_COUPONS, {"store_id": store_id, "ids": sorted(with_coupon)})
        coupons.update(raised.scalars())
        if gone := [one.promotion_id for coupon_id, one in with_coupon.items() if coupon_id not in coupons]:
            return await lost(gone[0], errors.COUPON_USED_UP)
    held = await session.execute(
        _HOLD,
        {
            **values,
            **who,
            "coupon_ids": [limited[promotion_id].coupon_id for promotion_id in sorted(limited)],
            "checkout_id": checkout_id,
            "now": now,
        },
    )
    had = set(held.scalars())
    if gone := [promotion_id for promotion_id in limited if promotion_id not in had]:
        # Of two orders that are paid at once, one is the first.
        first = for_first_order[gone[0]]
        return await lost(gone[0], errors.COUPON_FIRST_ORDER_ONLY if first else errors.COUPON_ALREADY_USED)
    return None


async def keep_uses(session: AsyncSession, store_id: int, *, checkout_id: int, now: datetime) -> None:
    """Let what a checkout held be used: its order is placed. Repeating it does nothing."""
    await session.execute(_KEEP, {"store_id": store_id, "checkout_id": checkout_id, "now": now})


async def give_back_uses(session: AsyncSession, store_id: int, *, checkout_id: int, now: datetime) -> int:
    """Give a checkout's uses back, held or used; how many. Of any number of calls one gives each back."""
    found = await session.execute(_GIVE_BACK, {"store_id": store_id, "checkout_id": checkout_id, "now": now})
    back = found.all()
    if not back:
        return 0
    promotions = sorted(row.promotion_id for row in back)
    await session.execute(_LOWER_PROMOTIONS, {"store_id": store_id, "ids": promotions})
    coupons = sorted(row.coupon_id for row in back if row.coupon_id is not None)
    if coupons:
        await session.execute(_LOWER_COUPONS, {"store_id": store_id, "ids": coupons})
    return len(back)
