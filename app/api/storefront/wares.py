"""The shapes of products, variants, collections and categories on the wire.

The answers are documents joined by the database; these Structs describe them and are never filled here.
"""

from typing import Annotated, Any, Literal

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from app.api.paging import Links, PageAnswer, PageMeta

Direction = Literal["asc", "desc"]
Expand = Annotated[
    str | None, QueryParameter(description="Extra objects, separated by commas: `product,options`.")
]


class StorefrontImageSize(msgspec.Struct):
    width: int
    height: int
    src: str


class StorefrontImage(msgspec.Struct):
    """A picture. One that this shop keeps itself comes with smaller sizes, and with `srcset` for HTML."""

    id: int
    product_id: int
    uuid: str
    variant_id: int | None
    position: int
    created_at: str
    updated_at: str
    width: int | None
    height: int | None
    src: str
    alt: str
    tags: list[str]
    sizes: list[StorefrontImageSize] | msgspec.UnsetType = msgspec.UNSET
    srcset: str | msgspec.UnsetType = msgspec.UNSET


class StorefrontVariantOption(msgspec.Struct):
    id: int
    variant_id: int
    name: str
    value_id: int
    value_name: str


class StorefrontSpecification(msgspec.Struct):
    name: str
    value: str
    content: str
    key: str | msgspec.UnsetType = msgspec.UNSET


class VariantCore(msgspec.Struct, kw_only=True):
    """What every form of a variant has. Prices in minor units of the currency asked for, of the store's own where none
    is; weight in its unit.
    """

    id: int
    product_id: int
    product_type_id: int | None
    title: str
    price: int
    compare_at_price: int | None
    sku: str
    inventory_policy: str
    url: str
    fulfillment_service: str
    inventory_management: str | None
    created_at: str
    updated_at: str
    taxable: bool
    barcode: str
    grams: int
    inventory_item_id: int
    inventory_quantity: int
    old_inventory_quantity: int
    allow_to_purchase: bool
    out_of_stock: bool
    weight: float
    weight_unit: str
    requires_shipping: bool
    seo_title: str | None
    seo_description: str | None
    image: StorefrontImage | None


class StorefrontProductBrief(msgspec.Struct, kw_only=True):
    """A product without its variants: the expand `product`."""

    id: int
    title: str
    body_html: str
    vendor: str | None
    product_type: str
    product_type_id: int | None
    created_at: str
    updated_at: str
    published_at: str | None
    handle: str
    template_suffix: str
    published_scope: str
    product_category: str
    product_collection: str | None
    seo_title: str
    seo_description: str
    tags: list[str]


class StorefrontReview(msgspec.Struct):
    """Times in Unix seconds; mail addresses are never shown."""

    id: int
    product_id: int
    product_variant_id: int
    customer_id: int | None
    reviewed_by: list[Any]
    user_name: str
    user_email: str
    status: str
    created_at: int
    updated_at: int
    review_title: str
    review_description: str
    rating: float
    verified: bool
    images: list[Any]


class StorefrontReviews(msgspec.Struct):
    """How many there are, and the newest of them."""

    count: int
    list: list[StorefrontReview]


class StorefrontAnswer(msgspec.Struct):
    id: int
    content: str
    user_name: str
    created_at: int


class StorefrontQuestion(msgspec.Struct):
    """Times in Unix seconds; mail addresses are never shown."""

    id: int
    product_id: int
    product_variant_id: int
    customer_id: int | None
    reviewed_by: list[Any]
    user_name: str
    user_email: str
    status: str
    created_at: int
    updated_at: int
    content: str
    type: str
    related_to: int | None
    answered_at: int | None
    answers: list[StorefrontAnswer]


class StorefrontQuestions(msgspec.Struct):
    """How many there are, and the newest of them."""

    count: int
    list: list[StorefrontQuestion]


class Expanded(VariantCore, kw_only=True):
    """A variant in a list: title with the product's, and what `expand` asked for."""

    origin_title: str
    variant_title: str
    handle: str
    vendor: str | None
    product_type: str
    images: list[StorefrontImage]
    all_images: list[StorefrontImage] | msgspec.UnsetType = msgspec.UNSET
    product: StorefrontProductBrief | msgspec.UnsetType = msgspec.UNSET
    related_products: list[int] | msgspec.UnsetType = msgspec.UNSET
    options: list[StorefrontVariantOption] | msgspec.UnsetType = msgspec.UNSET
    reviews: StorefrontReviews | msgspec.UnsetType = msgspec.UNSET
    questions: StorefrontQuestions | msgspec.UnsetType = msgspec.UNSET


class StorefrontVariant(Expanded, kw_only=True):
    specifications: list[StorefrontSpecification]


class ReviewsInfo(msgspec.Struct):
    rating: float
    count: int


class QuestionsInfo(msgspec.Struct):
    count: int


class StorefrontVariantDetail(StorefrontVariant, kw_only=True):
    reviews_info: ReviewsInfo
    questions_info: QuestionsInfo


class StorefrontBestSeller(msgspec.Struct):
    """Units of a variant that were ordered, and what was paid for them in the store's own currency, after discounts,
    in minor units.
    """

    quantity: int
    amount: int
    product_variant: StorefrontVariant


class StorefrontFoundVariant(Expanded, kw_only=True):
    specifications: dict[str, StorefrontSpecification]


class AdditionalInfo(msgspec.Struct):
    vendor: str
    product_type: str
    product_category: str


class StorefrontShelfVariant(StorefrontFoundVariant, kw_only=True):
    """A product of a collection or category, shown as one of its variants."""

    body_html: str
    additional_info: AdditionalInfo
    order_qty: int
    related_inventory_quantity: int
    tags: list[str]
    media_extension: str
    media_uuid: str
    media_src: str
    public_title: str


class StorefrontNestedVariant(VariantCore, kw_only=True):
    """A variant inside its product; title is its own.

    related_products are those that were chosen by hand; what is computed is answered by a variant's `expand`.
    """

    options: list[StorefrontVariantOption]
    image_id: int | None
    related_products: list[int]
    specifications: list[StorefrontSpecification]


class StorefrontOptionValue(msgspec.Struct):
    id: int
    name: str


class StorefrontProductOption(msgspec.Struct):
    id: int
    product_id: int
    name: str
    position: int
    values: list[StorefrontOptionValue]


class StorefrontProduct(msgspec.Struct, kw_only=True):
    """A product with everything that belongs to it; `tags` is one text, separated by commas."""

    id: int
    title: str
    body_html: str
    vendor: str | None
    product_type: str
    product_type_id: int | None
    created_at: str
    updated_at: str
    published_at: str | None
    handle: str
    template_suffix: str
    published_scope: str
    product_category: str
    product_collection: str | None
    seo_title: str
    seo_description: str
    tags: str
    variants: list[StorefrontNestedVariant]
    options: list[StorefrontProductOption]
    images: list[StorefrontImage]
    all_images: list[StorefrontImage]


class StorefrontType(msgspec.Struct):
    id: int
    name: str
    options: dict[str, list[str]]


class CollectionRule(msgspec.Struct):
    """A condition that products fulfil: a text, or a number where one is compared (prices in minor units, weights in
    grams).
    """

    field: str
    relation: str
    value: str | float


class ShelfHead(msgspec.Struct, kw_only=True):
    """What collections and categories say of themselves."""

    id: int
    title: str
    body_html: str
    visible: bool
    handle: str
    seo_title: str
    seo_description: str
    seo_keywords: str
    media: dict[str, Any]
    product_conditions: list[CollectionRule]
    condition: str


class StorefrontCategoryHead(ShelfHead, kw_only=True):
    parent_id: int | None


class StorefrontCollection(ShelfHead, kw_only=True):
    category: StorefrontCategoryHead | msgspec.UnsetType | None = msgspec.UNSET


class StorefrontCategory(StorefrontCategoryHead, kw_only=True):
    collections: list[ShelfHead] | msgspec.UnsetType = msgspec.UNSET


class FilterValue(msgspec.Struct):
    key: str
    name: str
    count: int


class StorefrontFilter(msgspec.Struct):
    """One thing to filter by: `parameter` is its name in the query, the `key` of a value what to send.

    count says how many products the page would have with this value alone chosen here, all other filters as
    they are. The filter `price` has the lowest and the highest instead, for `price_from` and `price_to`.
    """

    kind: Literal["option", "types", "vendors", "tags", "availability", "price"]
    key: str
    name: str
    parameter: str
    values: list[FilterValue]
    min: int | msgspec.UnsetType = msgspec.UNSET
    max: int | msgspec.UnsetType = msgspec.UNSET


class StorefrontCollectionPage(
    StorefrontCollection, kw_only=True, rename={"links": "_links", "meta": "_meta"}
):
    """A collection's fields and filters, and beside them the page that holds it."""

    items: list[StorefrontCollection]
    filters: list[StorefrontFilter]
    links: Links
    meta: PageMeta


class StorefrontCategoryPage(StorefrontCategory, kw_only=True, rename={"links": "_links", "meta": "_meta"}):
    """A category's fields and filters, and beside them the page that holds it."""

    items: list[StorefrontCategory]
    filters: list[StorefrontFilter]
    links: Links
    meta: PageMeta


def answers(shape: Any, description: str) -> dict[int, ResponseSpec]:
    """The answers of a catalogue read, for the document."""
    return {
        200: ResponseSpec(shape, description=description, generate_examples=False),
        304: ResponseSpec(None, description="Whoever asks has this answer already.", generate_examples=False),
    }


def page_of(shape: Any) -> Any:
    return PageAnswer[shape]
