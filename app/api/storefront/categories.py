"""Categories as shoppers see them (contract rows B72 to B74)."""

from typing import Literal

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.api.expand import parse_expand
from app.api.request import ShopRequest
from app.api.storefront.wares import (
    NOT_FILTERS,
    Direction,
    Expand,
    StorefrontCategory,
    StorefrontCategoryPage,
    StorefrontShelfVariant,
    answers,
    asked_facets,
    page_of,
    send_head,
    send_page,
)
from app.db.reads import Reads
from app.domain.catalogue.pieces import VARIANT_EXPANDS
from app.domain.catalogue.shelves import (
    get_category,
    list_categories,
    list_category_filters,
    list_category_products,
)
from app.domain.stores.queries import StoreConfig
from app.kit.paging import PageRequest

Order = Literal["date", "title", "price", "best_selling", "published_at"]
EXPANDS = frozenset({"collections"})


class CategoryController(Controller):
    tags = ("Catalogue",)

    @get(
        "/categories",
        operation_id="listCategories",
        summary="Categories, roots first",
        responses=answers(page_of(StorefrontCategory), "A page of categories."),
    )
    async def categories(
        self,
        request: ShopRequest,
        reads: NamedDependency[Reads],
        store: NamedDependency[StoreConfig],
        paging: NamedDependency[PageRequest],
        expand: Expand = None,
    ) -> Response[bytes]:
        expanded = bool(parse_expand(expand, EXPANDS))
        return send_page(request, paging, await list_categories(reads, store.id, paging, expanded=expanded))

    @get(
        "/category/{handle:str}",
        operation_id="getCategory",
        summary="One category, with the filters of the products below",
        description="A page with the one item, whose fields stand beside `items` too.",
        responses=answers(StorefrontCategoryPage, "The category."),
    )
    async def category(
        self,
        request: ShopRequest,
        reads: NamedDependency[Reads],
        store: NamedDependency[StoreConfig],
        handle: FromPath[str],
        expand: Expand = None,
    ) -> Response[bytes]:
        expanded = bool(parse_expand(expand, EXPANDS))
        head = await get_category(reads, store.id, handle, expanded=expanded)
        filters = await list_category_filters(reads, store.id, handle)
        return send_head(request, head, f',"filters":{filters}')

    @get(
        "/category/{handle:str}/products",
        operation_id="listCategoryProducts",
        summary="The products of a category and of those below it",
        description="In the order of its collections, or by `order_by`. Filtered by `option[]=value`: any value of"
        " one option, all options together.",
        responses=answers(page_of(StorefrontShelfVariant), "A page of products."),
    )
    async def products(
        self,
        request: ShopRequest,
        reads: NamedDependency[Reads],
        store: NamedDependency[StoreConfig],
        paging: NamedDependency[PageRequest],
        handle: FromPath[str],
        order_by: FromQuery[Order | None] = None,
        order_type: FromQuery[Direction | None] = None,
        expand: Expand = None,
    ) -> Response[bytes]:
        found = await list_category_products(
            reads,
            store.id,
            handle,
            paging,
            facets=asked_facets(request, known=NOT_FILTERS),
            order_by=order_by,
            descending=None if order_type is None else order_type == "desc",
            expands=parse_expand(expand, VARIANT_EXPANDS),
        )
        return send_page(request, paging, found)
