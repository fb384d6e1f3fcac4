"""Finding products by words (contract row B56)."""

from typing import Annotated

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from app.api.expand import parse_expand
from app.api.request import ShopRequest
from app.api.storefront.wares import Expand, StorefrontFoundVariant, answers, page_of, send_page
from app.db.reads import Reads
from app.domain.catalogue.pieces import VARIANT_EXPANDS
from app.domain.discovery.queries import search_products
from app.domain.stores.queries import StoreConfig
from app.kit.paging import PageRequest


@get(
    "/products/search",
    tags=["Catalogue"],
    operation_id="searchProducts",
    summary="Products by words, SKU or barcode, best first",
    description="Typing errors are forgiven and the last word may be a beginning. Each product is shown as the"
    " variant that fits best.",
    responses=answers(page_of(StorefrontFoundVariant), "A page of products."),
)
async def search(
    request: ShopRequest,
    reads: NamedDependency[Reads],
    store: NamedDependency[StoreConfig],
    paging: NamedDependency[PageRequest],
    q: Annotated[str, QueryParameter(min_length=1, max_length=200)],
    expand: Expand = None,
) -> Response[bytes]:
    expands = parse_expand(expand, VARIANT_EXPANDS)
    found = await search_products(reads, store.id, q, paging, language=store.language, expands=expands)
    return send_page(request, paging, found)
