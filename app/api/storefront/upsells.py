"""How a thing is shown beside what somebody has in a cart or checkout."""

import msgspec

from app.domain.catalogue.sale_items import SaleItem


class StorefrontUpsell(msgspec.Struct):
    """A variant that goes with what is there, at what one costs. Minor units of the currency of cart or checkout."""

    variant_id: int
    product_id: int
    title: str
    price: int
    compare_at_price: int | None
    image: str | None
    handle: str
    url: str


def show_upsell(item: SaleItem) -> StorefrontUpsell:
    return StorefrontUpsell(
        variant_id=item.variant_id,
        product_id=item.product_id,
        title=item.title,
        price=item.price_for(1),
        compare_at_price=item.compare_at_price,
        image=item.image,
        handle=item.handle,
        url=item.url,
    )
