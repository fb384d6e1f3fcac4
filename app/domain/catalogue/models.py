"""Tables of the catalogue: what a merchant enters, and what stands beside it; what is ready-made for readers is in
derived_models.py.

Every key begins with store_id. Ids are unique across stores all the same.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, CreatedAt, Minor, OptionalRef, Ref, StoreId
from app.domain.catalogue import derived_models  # noqa: F401 - whoever loads the models of a feature loads all of them
from app.domain.catalogue.columns import Extra, KeyId, KeyRef, KeyStore, OwnStore, Words, belongs_to


class ProductType(Base):
    """What kind of thing a product is; its name as the merchant wrote it."""

    __tablename__ = "product_types"
    __table_args__ = (UniqueConstraint("store_id", "name"),)

    store_id: Mapped[OwnStore]
    id: Mapped[KeyId]
    name: Mapped[str]


class Product(Base):
    """One product. It is on sale when listed, which follows from status and published."""

    __tablename__ = "products"
    __table_args__ = (
        UniqueConstraint("store_id", "handle"),
        CheckConstraint("status IN ('active', 'draft', 'archived')", name="status"),
        ForeignKeyConstraint(["store_id", "type_id"], ["product_types.store_id", "product_types.id"]),
        Index("products_by_date_idx", "store_id", "created_at", "id", postgresql_where=text("listed")),
        Index("products_by_standing_idx", "store_id", "standing", "id", postgresql_where=text("listed")),
        Index("products_type_idx", "store_id", "type_id"),
        Index("products_tags_idx", "tags", postgresql_using="gin"),
        Index("products_search_idx", "search", postgresql_using="gin"),
    )

    store_id: Mapped[OwnStore]
    id: Mapped[KeyId]
    handle: Mapped[str]
    title: Mapped[str]
    body_html: Mapped[str] = mapped_column(server_default="")
    vendor: Mapped[str] = mapped_column(server_default="")
    type_id: Mapped[OptionalRef]
    product_category: Mapped[str] = mapped_column(server_default="")
    tags: Mapped[Words]
    status: Mapped[str] = mapped_column(server_default="active")
    published: Mapped[bool] = mapped_column(server_default="true")
    published_at: Mapped[datetime | None]
    template_suffix: Mapped[str] = mapped_column(server_default="")
    published_scope: Mapped[str] = mapped_column(server_default="web")
    gift_card: Mapped[bool] = mapped_column(server_default="false")
    seo_title: Mapped[str] = mapped_column(server_default="")
    seo_description: Mapped[str] = mapped_column(server_default="")
    # Columns of a product file that have no column here, by the header they came under.
    metafields: Mapped[Extra]
    # Variant ids to show beside it, set by hand.
    related: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}")
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")
    listed: Mapped[bool] = mapped_column(Computed("status = 'active' AND published", persisted=True))
    # Derived: products that were bought in the same orders, and those that share the rarest tags.
    bought_with: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}")
    similar_to: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}")
    # Derived: the first variant, units sold lately, and the text that search matches.
    lead_variant_id: Mapped[OptionalRef]
    sold: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # In steps that few sales change: an index over `sold` itself would have each order write to all indexes, the
    # one of words among them.
    standing: Mapped[int] = mapped_column(
        SmallInteger, Computed("floor(2 * ln(1 + sold::double precision))::smallint", persisted=True)
    )
    search: Mapped[Any | None] = mapped_column(TSVECTOR)


class ProductOption(Base):
    """One thing to choose of a product, as Colour; key is its name folded for filters."""

    __tablename__ = "product_options"
    __table_args__ = (
        UniqueConstraint("store_id", "product_id", "position"),
        belongs_to("products", "product_id"),
        CheckConstraint("position BETWEEN 1 AND 3", name="position"),
    )

    store_id: Mapped[KeyStore]
    id: Mapped[KeyId]
    product_id: Mapped[Ref]
    name: Mapped[str]
    key: Mapped[str]
    position: Mapped[int]
    linked_to: Mapped[str] = mapped_column(server_default="")


class OptionValue(Base):
    """One value of an option, as Red."""

    __tablename__ = "option_values"
    __table_args__ = (
        UniqueConstraint("store_id", "option_id", "name"),
        belongs_to("product_options", "option_id"),
        Index(
            "option_values_choices_idx",
            "store_id",
            "type_id",
            "option_key",
            "key",
            "position",
            "id",
            postgresql_where=text("type_id IS NOT NULL"),
        ),
    )

    store_id: Mapped[KeyStore]
    id: Mapped[KeyId]
    option_id: Mapped[Ref]
    name: Mapped[str]
    key: Mapped[str]
    position: Mapped[int]
    # Derived: the product's type where a variant on sale has the value, and the key of its option (choices.py).
    type_id: Mapped[OptionalRef]
    option_key: Mapped[str] = mapped_column(server_default="")


class Image(Base):
    """A picture of a product; src is an address that is passed on, never fetched."""

    __tablename__ = "product_images"
    __table_args__ = (
        Index("product_images_product_idx", "store_id", "product_id", "position"),
        belongs_to("products", "product_id"),
    )

    store_id: Mapped[KeyStore]
    id: Mapped[KeyId]
    uuid: Mapped[UUID] = mapped_column(Uuid, server_default=text("gen_random_uuid()"))
    product_id: Mapped[Ref]
    position: Mapped[int]
    src: Mapped[str]
    alt: Mapped[str] = mapped_column(server_default="")
    width: Mapped[int | None]
    height: Mapped[int | None]
    tags: Mapped[Words]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class Variant(Base):
    """What is put into a cart. Prices in minor units of the store's currency; cost is never shown."""

    __tablename__ = "variants"
    __table_args__ = (
        belongs_to("products", "product_id"),
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("compare_at_price >= 0", name="compare_at_price"),
        CheckConstraint("cost >= 0", name="cost"),
        CheckConstraint("grams >= 0", name="grams"),
        Index("variants_product_idx", "store_id", "product_id", "position"),
        Index("variants_sku_idx", "store_id", text("lower(sku)"), postgresql_where=text("sku <> ''")),
        Index("variants_barcode_idx", "store_id", "barcode", postgresql_where=text("barcode <> ''")),
        Index("variants_by_date_idx", "store_id", "created_at", "id", postgresql_where=text("listed")),
        Index(
            "variants_by_title_idx",
            "store_id",
            text("title_key(full_title)"),
            "id",
            postgresql_where=text("listed"),
        ),
        Index("variants_by_price_idx", "store_id", "price", "id", postgresql_where=text("listed")),
        Index("variants_by_sold_idx", "store_id", "sold", "id", postgresql_where=text("listed")),
        Index("variants_by_rating_idx", "store_id", "rating", "id", postgresql_where=text("listed")),
        Index("variants_type_idx", "store_id", "type_id", postgresql_where=text("listed")),
        Index("variants_facets_idx", "facets", postgresql_using="gin"),
        # What filters and their counts look at, in the order of products: 100,000 variants are read from it.
        Index(
            "variants_filter_idx",
            "store_id",
            "product_id",
            "position",
            "id",
            postgresql_include=["facet_set_id", "price", "type_id"],
            postgresql_where=text("listed"),
        ),
    )

    store_id: Mapped[KeyStore]
    id: Mapped[KeyId]
    product_id: Mapped[Ref]
    position: Mapped[int]
    title: Mapped[str]
    sku: Mapped[str] = mapped_column(server_default="")
    barcode: Mapped[str] = mapped_column(server_default="")
    price: Mapped[Minor]
    compare_at_price: Mapped[Minor | None]
    cost: Mapped[Minor | None]
    grams: Mapped[Decimal] = mapped_column(Numeric(14, 4), server_default="0")
    weight_unit: Mapped[str] = mapped_column(server_default="g")
    taxable: Mapped[bool] = mapped_column(server_default="true")
    tax_code: Mapped[str] = mapped_column(server_default="")
    requires_shipping: Mapped[bool] = mapped_column(server_default="true")
    fulfillment_service: Mapped[str] = mapped_column(server_default="manual")
    # Who counts the stock: '' nobody, 'shopify' or an app's name as the product file has it.
    inventory_management: Mapped[str] = mapped_column(server_default="")
    image_id: Mapped[OptionalRef]
    seo_title: Mapped[str] = mapped_column(server_default="")
    seo_description: Mapped[str] = mapped_column(server_default="")
    metafields: Mapped[Extra]
    # Its colours as six hexadecimal digits, where the merchant says them; else its options' names tell.
    colors: Mapped[Words]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    # Derived from the product by whoever writes it, so that lists of variants need an index and no join.
    listed: Mapped[bool] = mapped_column(server_default="false")
    type_id: Mapped[OptionalRef]
    full_title: Mapped[str] = mapped_column(server_default="")
    # "colour=red": option and value folded, for filters and their counts.
    facets: Mapped[Words]
    # The row of facet_sets with these facets, by the trigger keep_facet_set.
    facet_set_id: Mapped[OptionalRef]
    # The product's, by the trigger keep_rating.
    rating: Mapped[Decimal] = mapped_column(Numeric(3, 2), server_default="0")
    sold: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # What they were sold for, after discounts.
    sold_amount: Mapped[Minor] = mapped_column(server_default="0")


class FacetSet(Base):
    """The facets that variants have together, each combination once; one that none has any more does no harm."""

    __tablename__ = "facet_sets"
    __table_args__ = (UniqueConstraint("store_id", "digest"),)

    store_id: Mapped[OwnStore]
    id: Mapped[KeyId]
    facets: Mapped[list[str]] = mapped_column(ARRAY(Text))
    digest: Mapped[str]


class UnitPriceRow(Base):
    """What a unit costs from so many units on (minimum), to everybody ('') or to one customer group.

    Beside the variant's own price the lowest that fits counts. Minor units of the currency, of the store's where
    it is ''. A variant that has prices in another currency is sold by these alone there.
    """

    __tablename__ = "unit_prices"
    __table_args__ = (
        belongs_to("variants", "variant_id"),
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("minimum >= 1", name="minimum"),
    )

    store_id: Mapped[KeyStore]
    variant_id: Mapped[KeyRef]
    customer_group: Mapped[str] = mapped_column(primary_key=True)
    minimum: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    currency: Mapped[str] = mapped_column(primary_key=True, server_default="")
    price: Mapped[Minor]


class ColorSpot(Base):
    """A colour that variants of the store have, and where it stands in the space of kit/colors.spot_of.

    A colour that no variant has any more does no harm.
    """

    __tablename__ = "color_spots"
    __table_args__ = (
        CheckConstraint("rgb BETWEEN 0 AND 16777215", name="rgb"),
        Index("color_spots_near_idx", "store_id", text("cube(ARRAY[l, a, b])"), postgresql_using="gist"),
    )

    store_id: Mapped[OwnStore]
    rgb: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    l: Mapped[float] = mapped_column(Double)  # noqa: E741 - the name that the coordinate has
    a: Mapped[float] = mapped_column(Double)
    b: Mapped[float] = mapped_column(Double)


class VariantColor(Base):
    """A colour of a variant; derived, by whoever writes the product."""

    __tablename__ = "variant_colors"
    __table_args__ = (
        ForeignKeyConstraint(["store_id", "rgb"], ["color_spots.store_id", "color_spots.rgb"]),
        belongs_to("variants", "variant_id"),
        Index("variant_colors_rgb_idx", "store_id", "rgb", "variant_id"),
    )

    store_id: Mapped[KeyStore]
    variant_id: Mapped[KeyRef]
    rgb: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)


class VariantValue(Base):
    """Which value of an option a variant has."""

    __tablename__ = "variant_values"
    __table_args__ = (
        belongs_to("variants", "variant_id"),
        belongs_to("product_options", "option_id"),
        belongs_to("option_values", "value_id"),
        Index("variant_values_value_idx", "store_id", "value_id"),
    )

    store_id: Mapped[KeyStore]
    variant_id: Mapped[KeyRef]
    option_id: Mapped[KeyRef]
    value_id: Mapped[Ref]


class MarketPrice(Base):
    """What a product file says of one market; a price of None means no special price there."""

    __tablename__ = "market_prices"
    __table_args__ = (belongs_to("variants", "variant_id"),)

    store_id: Mapped[KeyStore]
    variant_id: Mapped[KeyRef]
    market: Mapped[str] = mapped_column(primary_key=True)
    included: Mapped[bool] = mapped_column(server_default="true")
    price: Mapped[Minor | None]
    compare_at_price: Mapped[Minor | None]


class Collection(Base):
    """A named group of products, chosen by hand or by rules.

    A rule is {"field", "relation", "value"}; condition says whether all must hold or any.
    """

    __tablename__ = "collections"
    __table_args__ = (
        UniqueConstraint("store_id", "handle"),
        CheckConstraint("kind IN ('manual', 'rule')", name="kind"),
        CheckConstraint("condition IN ('all', 'any')", name="condition"),
        # Whether there is one is asked with each sale.
        Index(
            "collections_by_stock_idx",
            "store_id",
            postgresql_where="""kind = 'rule' AND rules @> '[{"field": "stock"}]'""",
        ),
    )

    store_id: Mapped[OwnStore]
    id: Mapped[KeyId]
    handle: Mapped[str]
    title: Mapped[str]
    body_html: Mapped[str] = mapped_column(server_default="")
    visible: Mapped[bool] = mapped_column(server_default="true")
    seo_title: Mapped[str] = mapped_column(server_default="")
    seo_description: Mapped[str] = mapped_column(server_default="")
    seo_keywords: Mapped[str] = mapped_column(server_default="")
    media: Mapped[Extra]
    kind: Mapped[str] = mapped_column(server_default="manual")
    condition: Mapped[str] = mapped_column(server_default="all")
    rules: Mapped[list[Any]] = mapped_column(server_default="[]")
    sort_order: Mapped[str] = mapped_column(server_default="manual")
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class CollectionProduct(Base):
    """A product's place in a collection.

    position and then sort_text are the collection's own order: a place, a price, a time or a title, by its
    sort_order; listed follows the product. So a page and a total need one index.
    """

    __tablename__ = "collection_products"
    __table_args__ = (
        belongs_to("collections", "collection_id"),
        belongs_to("products", "product_id"),
        Index(
            "collection_products_page_idx",
            "store_id",
            "collection_id",
            "position",
            "sort_text",
            "product_id",
            postgresql_where=text("listed"),
        ),
        Index("collection_products_product_idx", "store_id", "product_id"),
    )

    store_id: Mapped[KeyStore]
    collection_id: Mapped[KeyRef]
    product_id: Mapped[KeyRef]
    position: Mapped[int] = mapped_column(BigInteger)
    sort_text: Mapped[str] = mapped_column(server_default="")
    listed: Mapped[bool] = mapped_column(server_default="true")


class Category(Base):
    """A node of the tree that shoppers walk; its products are those of its collections and of nodes below."""

    __tablename__ = "categories"
    __table_args__ = (
        UniqueConstraint("store_id", "handle"),
        ForeignKeyConstraint(["store_id", "parent_id"], ["categories.store_id", "categories.id"]),
        CheckConstraint("parent_id <> id", name="parent"),
        Index("categories_parent_idx", "store_id", "parent_id", "position"),
    )

    store_id: Mapped[OwnStore]
    id: Mapped[KeyId]
    parent_id: Mapped[OptionalRef]
    handle: Mapped[str]
    title: Mapped[str]
    body_html: Mapped[str] = mapped_column(server_default="")
    visible: Mapped[bool] = mapped_column(server_default="true")
    seo_title: Mapped[str] = mapped_column(server_default="")
    seo_description: Mapped[str] = mapped_column(server_default="")
    seo_keywords: Mapped[str] = mapped_column(server_default="")
    media: Mapped[Extra]
    position: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class CategoryCollection(Base):
    """Which collections a category shows, in order."""

    __tablename__ = "category_collections"
    __table_args__ = (
        belongs_to("categories", "category_id"),
        belongs_to("collections", "collection_id"),
        Index("category_collections_collection_idx", "store_id", "collection_id"),
    )

    store_id: Mapped[KeyStore]
    category_id: Mapped[KeyRef]
    collection_id: Mapped[KeyRef]
    position: Mapped[int] = mapped_column(server_default="0")


class StockWish(Base):
    """Somebody who wants to know when a variant is back. Gone once they were told.

    A trigger (tell_returned) makes wishes due when the variant can be bought again, by whichever write that
    happens; the worker then finds out whether it still can, and mails.
    """

    __tablename__ = "stock_wishes"
    __table_args__ = (
        UniqueConstraint("store_id", "variant_id", "email_key"),
        belongs_to("variants", "variant_id"),
        CheckConstraint("state IN ('waiting', 'due', 'mailing')", name="state"),
        Index("stock_wishes_address_idx", "store_id", "email_key"),
        Index("stock_wishes_age_idx", "created_at"),
    )

    id: Mapped[BigId]
    store_id: Mapped[StoreId]
    variant_id: Mapped[Ref]
    email: Mapped[str]
    email_key: Mapped[str]
    # As the browser asked for it: see kit/languages.
    language: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="waiting")
    created_at: Mapped[CreatedAt]
