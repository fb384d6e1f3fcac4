"""Products as shoppers see them (contract rows B49 and B52, and a product by its handle)."""

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.api.storefront.counter import Counter, PageCounter, counters
from app.api.storefront.wares import StorefrontProduct, StorefrontType, answers, page_of
from app.domain.catalogue.queries import get_product, list_products, list_types


class ProductController(Controller):
    """The same for everyone, so answers may be kept by caches and carry a tag."""

    path = "/products"
    tags = ("Catalogue",)
    dependencies = counters()

    @get(
        operation_id="listProducts",
        summary="Products with variants, options and images",
        responses=answers(page_of(StorefrontProduct), "A page of products, newest first."),
    )
    async def products(
        self,
        pages: NamedDependency[PageCounter],
    ) -> Response[bytes]:
        return pages.send_page(await list_products(pages.reads, pages.store.id, pages.paging))

    @get(
        "/types",
        operation_id="listProductTypes",
        summary="Types with their options and the values in use",
        responses=answers(list[StorefrontType], "All types that have a product on sale."),
    )
    async def types(self, counter: NamedDependency[Counter]) -> Response[bytes]:
        return counter.send(await list_types(counter.reads, counter.store.id))

    @get(
        "/{handle:str}",
        operation_id="getProduct",
        summary="One product by its handle",
        responses=answers(StorefrontProduct, "The product."),
    )
    async def product(
        self,
        counter: NamedDependency[Counter],
        handle: FromPath[str],
    ) -> Response[bytes]:
        return counter.send(await get_product(counter.reads, counter.store.id, handle))
