"""Tables that are made from the catalogue for its readers, by the writes that change it; nobody enters anything here."""

from sqlalchemy import BigInteger, Index
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, Minor, Ref
from app.domain.catalogue.columns import KeyRef, KeyStore, OwnStore, belongs_to

# Documents stay in the row up to a page: beyond 2 KB PostgreSQL would compress them, which costs reads.
_INLINE = {"postgresql_with": {"toast_tuple_target": 8160}}


class ProductDocument(Base):
    """Ready-made JSON of a product, the same for everyone: members without braces, joined at read time."""

    __tablename__ = "product_documents"
    __table_args__ = (belongs_to("products", "product_id"), _INLINE)

    store_id: Mapped[KeyStore]
    product_id: Mapped[KeyRef]
    # brief: the members of the expand "product"; images and options: JSON arrays.
    brief: Mapped[str]
    images: Mapped[str]
    options: Mapped[str]
    updated_at: Mapped[CreatedAt]


class VariantDocument(Base):
    """Ready-made JSON of a variant, and beside it the figures that a list shows; stock is joined at read time.

    The figures are those of the variant, kept by the trigger follow_update: an item of a list then is one
    look-up for text and price, and one for stock.
    """

    __tablename__ = "variant_documents"
    __table_args__ = (
        belongs_to("variants", "variant_id"),
        Index("variant_documents_product_idx", "store_id", "product_id", "position", "variant_id"),
        _INLINE,
    )

    store_id: Mapped[KeyStore]
    variant_id: Mapped[KeyRef]
    # core: members of every shape; flat: members in lists of variants; nested: members inside a product;
    # options: a JSON array; specifications in both forms that the API has, a list and an object by key.
    core: Mapped[str]
    flat: Mapped[str]
    nested: Mapped[str]
    options: Mapped[str]
    specs_list: Mapped[str]
    specs_object: Mapped[str]
    # Of a product's first variant only: what pages of collections and categories add to an item, and the
    # variants whose stock they sum up.
    page: Mapped[str | None]
    siblings: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    product_id: Mapped[Ref]
    position: Mapped[int]
    price: Mapped[Minor]
    compare_at_price: Mapped[Minor | None]
    sold: Mapped[int] = mapped_column(BigInteger)


class ShelfDocument(Base):
    """Ready-made JSON of a product as collections and categories show it: by its first variant.

    Made of that variant's document and written after it; the figures follow the variant as they do there. Reading
    a page is one look-up here for each of its products, and one for their stock.
    """

    __tablename__ = "shelf_documents"
    __table_args__ = (
        belongs_to("products", "product_id"),
        # Room on each page, so that a sale moves no index entry.
        {"postgresql_with": {"fillfactor": 70, **_INLINE["postgresql_with"]}},
    )

    store_id: Mapped[KeyStore]
    product_id: Mapped[KeyRef]
    variant_id: Mapped[Ref]
    price: Mapped[Minor]
    compare_at_price: Mapped[Minor | None]
    sold: Mapped[int] = mapped_column(BigInteger)
    siblings: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    # An object of JSON without its closing brace, in UTF-8.
    item: Mapped[bytes]


class CatalogueChange(Base):
    """That transactions changed what a store shows: the sum of its rows is the version of its catalogue.

    Written by the triggers note_* alone: each transaction adds a row of its own and waits for nobody.
    """

    __tablename__ = "catalogue_changes"

    store_id: Mapped[KeyStore]
    transaction: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    changes: Mapped[int] = mapped_column(BigInteger)


class ListSize(Base):
    """How many rows a list has that readers can see: the sum of its rows here, exact for whoever reads it.

    Written by the triggers count_* alone, in the transaction that changes the list: as of CatalogueChange, each
    transaction has a row of its own and waits for nobody. `list` is the table; collection_id is 0 where all of a
    store's rows are meant.
    """

    __tablename__ = "list_sizes"

    store_id: Mapped[KeyStore]
    list: Mapped[str] = mapped_column(primary_key=True)
    collection_id: Mapped[KeyRef]
    transaction: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    size: Mapped[int]


class SearchWord(Base):
    """A word that occurs in what a store shows, or did once: what typing errors are mended by."""

    __tablename__ = "search_words"
    __table_args__ = (
        Index(
            "search_words_trgm_idx",
            "word",
            postgresql_using="gin",
            postgresql_ops={"word": "gin_trgm_ops"},
        ),
    )

    store_id: Mapped[OwnStore]
    word: Mapped[str] = mapped_column(primary_key=True)
