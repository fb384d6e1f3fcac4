"""Products as shoppers see them (contract rows B49 and B52, and a product by its handle)."""

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.api.request import ShopRequest
from app.api.storefront.wares import StorefrontProduct, StorefrontType, answers, page_of, send_json, send_page
from app.db.reads import Reads
from app.domain.catalogue.queries import get_product, list_products, list_types
from app.domain.stores.queries import StoreConfig
from app.kit.paging import PageRequest


class ProductController(Controller):
    """The same for everyone, so answers may be kept by caches and carry a tag."""

    path = "/products"
    tags = ("Catalogue",)

    @get(
        operation_id="listProducts",
        summary="Products with variants, options and images",
        responses=answers(page_of(StorefrontProduct), "A page of products, newest first."),
    )
    async def products(
        self,
        request: ShopRequest,
        reads: NamedDependency[Reads],
        store: NamedDependency[StoreConfig],
        paging: NamedDependency[PageRequest],
    ) -> Response[bytes]:
        return send_page(request, paging, await list_products(reads, store.id, paging))

    @get(
        "/types",
        operation_id="listProductTypes",
        summary="Types with their options and the values in use",
        responses=answers(list[StorefrontType], "All types that have a product on sale."),
    )
    async def types(
        self, request: ShopRequest, reads: NamedDependency[Reads], store: NamedDependency[StoreConfig]
    ) -> Response[bytes]:
        return send_json(request, await list_types(reads, store.id))

    @get(
        "/{handle:str}",
        operation_id="getProduct",
        summary="One product by its handle",
        responses=answers(StorefrontProduct, "The product."),
    )
    async def product(
        self,
        request: ShopRequest,
        reads: NamedDependency[Reads],
        store: NamedDependency[StoreConfig],
        handle: FromPath[str],
    ) -> Response[bytes]:
        return send_json(request, await get_product(reads, store.id, handle))
