"""Finding products by words (contract row B56)."""

from typing import Annotated

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from app.api.expand import parse_expand
from app.api.storefront.counter import PageCounter, counters
from app.api.storefront.wares import Expand, StorefrontFoundVariant, answers, page_of
from app.domain.catalogue.pieces import VARIANT_EXPANDS
from app.domain.discovery.queries import search_products


@get(
    "/products/search",
    tags=["Catalogue"],
    dependencies=counters(),
    operation_id="searchProducts",
    summary="Products by words, SKU or barcode, best first",
    description="Typing errors are forgiven and the last word may be a beginning. Each product is shown as the"
    " variant that fits best.",
    responses=answers(page_of(StorefrontFoundVariant), "A page of products."),
)
async def search(
    pages: NamedDependency[PageCounter],
    q: Annotated[str, QueryParameter(min_length=1, max_length=200)],
    expand: Expand = None,
) -> Response[bytes]:
    expands = parse_expand(expand, VARIANT_EXPANDS)
    found = await search_products(
        pages.reads, pages.store.id, q, pages.paging, language=pages.store.language, expands=expands
    )
    return pages.send_page(found)
