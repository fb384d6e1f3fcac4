"""Tables of promotions: what is set up, the codes that open it, and each use by a checkout."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, Minor, OptionalRef, Ref, StoreId

_SCOPES = "('all', 'collections', 'products', 'variants', 'types')"


class PromotionRow(Base):
    """A discount as it is set up; handle is its name in the shop file. value: basis points or minor units.

    An automatic one needs no code. uses counts the checkouts that hold or have used it, and its guard stands
    in the UPDATE that raises it; the CHECK is behind that.
    """

    __tablename__ = "promotions"
    __table_args__ = (
        UniqueConstraint("store_id", "handle"),
        CheckConstraint(
            "kind IN ('percent', 'fixed_amount', 'fixed_price', 'free_shipping', 'buy_x_get_y', 'gift')",
            name="kind",
        ),
        CheckConstraint("value >= 0", name="value"),
        CheckConstraint(f"scope_kind IN {_SCOPES}", name="scope_kind"),
        CheckConstraint(f"reward_kind IN {_SCOPES}", name="reward_kind"),
        CheckConstraint("(kind = 'gift') = (gift_variant_id IS NOT NULL)", name="gift"),
        CheckConstraint("uses >= 0 AND uses <= max_uses", name="uses"),
        CheckConstraint("max_per_customer > 0", name="max_per_customer"),
        Index("promotions_automatic_idx", "store_id", postgresql_where=text("automatic AND enabled")),
        Index("promotions_first_order_idx", "store_id", postgresql_where=text("first_order")),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"))
    handle: Mapped[str]
    title: Mapped[str]
    kind: Mapped[str]
    value: Mapped[Minor] = mapped_column(server_default="0")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    automatic: Mapped[bool] = mapped_column(server_default="false")
    priority: Mapped[int] = mapped_column(server_default="0")
    combines: Mapped[bool] = mapped_column(server_default="true")
    scope_kind: Mapped[str] = mapped_column(server_default="all")
    scope_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}")
    minimum_purchase: Mapped[Minor | None]
    minimum_quantity: Mapped[int | None]
    limit_items: Mapped[int | None]
    buy_quantity: Mapped[int] = mapped_column(server_default="0")
    get_quantity: Mapped[int] = mapped_column(server_default="0")
    reward_kind: Mapped[str | None]
    reward_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}")
    gift_variant_id: Mapped[OptionalRef]
    customer_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}")
    groups: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    countries: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    first_order: Mapped[bool] = mapped_column(server_default="false")
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    max_uses: Mapped[int | None]
    max_per_customer: Mapped[int | None]
    uses: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class Coupon(Base):
    """A code that opens a promotion; code_key is how it is compared. Its own limit stands beside the promotion's."""

    __tablename__ = "coupons"
    __table_args__ = (
        UniqueConstraint("store_id", "code_key"),
        CheckConstraint("uses >= 0 AND uses <= max_uses", name="uses"),
        Index(None, "promotion_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    promotion_id: Mapped[Ref] = mapped_column(ForeignKey("promotions.id", ondelete="CASCADE"))
    code: Mapped[str]
    code_key: Mapped[str]
    max_uses: Mapped[int | None]
    uses: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[CreatedAt]


class CouponUse(Base):
    """One use by one checkout: held while it is paid, used once its order is placed, returned if not.

    One customer is known by the account or by the mail address, of which only the digest is kept.
    """

    __tablename__ = "coupon_uses"
    __table_args__ = (
        UniqueConstraint("store_id", "checkout_id", "promotion_id"),
        CheckConstraint("state IN ('held', 'used', 'returned')", name="state"),
        Index("coupon_uses_customer_idx", "promotion_id", "customer_id"),
        Index("coupon_uses_email_idx", "promotion_id", "email_digest"),
        Index(None, "coupon_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    promotion_id: Mapped[Ref] = mapped_column(ForeignKey("promotions.id", ondelete="CASCADE"))
    coupon_id: Mapped[OptionalRef] = mapped_column(ForeignKey("coupons.id", ondelete="SET NULL"))
    checkout_id: Mapped[Ref]
    customer_id: Mapped[OptionalRef]
    email_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime]
