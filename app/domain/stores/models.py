"""Tables of a store's own settings."""

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, Minor, OptionalRef, StoreId


class Store(Base):
    """One shop. Its order numbers come from the sequence order_numbers_<id>, made with it."""

    __tablename__ = "stores"
    __table_args__ = (
        UniqueConstraint("code"),
        UniqueConstraint("host"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    )

    id: Mapped[BigId]
    code: Mapped[str]
    host: Mapped[str | None]
    name: Mapped[str]
    email: Mapped[str]
    currency: Mapped[str]
    language: Mapped[str]
    country: Mapped[str]
    order_prefix: Mapped[str] = mapped_column(server_default="#")
    tax_included: Mapped[bool] = mapped_column(server_default="false")
    tax_shipping: Mapped[bool] = mapped_column(server_default="false")
    cancellation_reasons: Mapped[list[str]] = mapped_column(server_default="[]")
    contact_subjects: Mapped[list[str]] = mapped_column(server_default="[]")
    settings: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[CreatedAt]


class ShippingZone(Base):
    """Places that share shipping options."""

    __tablename__ = "shipping_zones"
    __table_args__ = (UniqueConstraint("store_id", "name"),)

    id: Mapped[BigId]
    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"))
    name: Mapped[str]
    # ISO 3166-1 alpha-2 codes, and ISO 3166-2 codes where only a part of a country is meant.
    countries: Mapped[list[str]] = mapped_column(server_default="[]")
    regions: Mapped[list[str]] = mapped_column(server_default="[]")


class ShippingOption(Base):
    """One way to ship inside a zone, for a band of weight (grams), of price (minor units) and of items.

    One without a zone is a pick-up at its location, wherever the buyer lives.
    """

    __tablename__ = "shipping_options"
    __table_args__ = (
        UniqueConstraint("store_id", "zone_id", "title", postgresql_nulls_not_distinct=True),
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("extra_item >= 0", name="extra_item"),
        CheckConstraint("(zone_id IS NULL) = (location IS NOT NULL)", name="location"),
        Index(None, "zone_id"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    zone_id: Mapped[OptionalRef] = mapped_column(ForeignKey("shipping_zones.id", ondelete="CASCADE"))
    title: Mapped[str]
    price: Mapped[Minor]
    free_from: Mapped[Minor | None]
    min_weight_grams: Mapped[int | None]
    max_weight_grams: Mapped[int | None]
    min_price: Mapped[Minor | None]
    max_price: Mapped[Minor | None]
    min_days: Mapped[int | None]
    max_days: Mapped[int | None]
    min_items: Mapped[int | None]
    max_items: Mapped[int | None]
    # What each item after the first adds to the price.
    extra_item: Mapped[Minor] = mapped_column(server_default="0")
    location: Mapped[str | None]
    # Whom to ask for today's price; only_live hides the option where no answer came.
    carrier: Mapped[str | None]
    carrier_service: Mapped[str | None]
    only_live: Mapped[bool] = mapped_column(server_default="false")
    position: Mapped[int] = mapped_column(server_default="0")


class TaxRate(Base):
    """The tax of a country, or of a region (ISO 3166-2) of it. Region '' is the country.

    rate_ppm is in parts per million: 66250 is 6.625 %, since sales taxes have three decimals and more.

    tax_class names the variants that it is for; '' is for everything that has no rate of its own there.
    """

    __tablename__ = "tax_rates"
    __table_args__ = (
        UniqueConstraint("store_id", "country", "region", "name", "tax_class"),
        CheckConstraint("rate_ppm >= 0", name="rate_ppm"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"))
    country: Mapped[str]
    region: Mapped[str] = mapped_column(server_default="")
    name: Mapped[str]
    rate_ppm: Mapped[int]
    tax_class: Mapped[str] = mapped_column(server_default="")


class StorePaymentService(Base):
    """A payment service that this store offers, by the name that clients send."""

    __tablename__ = "store_payment_services"

    store_id: Mapped[StoreId] = mapped_column(ForeignKey("stores.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default="true")
    position: Mapped[int] = mapped_column(server_default="0")
