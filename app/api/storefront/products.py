"""Products as shoppers see them (contract rows B49, B52 and B54, and a product by its handle)."""

from datetime import datetime

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.api.paging import After
from app.api.storefront.counter import Counter, InCurrency, PageCounter, asked_often, counters
from app.api.storefront.wares import StorefrontBestSeller, StorefrontProduct, StorefrontType, answers, page_of
from app.domain.catalogue.choices import list_types
from app.domain.catalogue.queries import get_product, list_products
from app.domain.orders.best_selling import list_best_selling


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
    @asked_often
    async def products(
        self,
        pages: NamedDependency[PageCounter],
        after: After = "",
        currency: InCurrency = None,
    ) -> Response[bytes]:
        found = await list_products(pages.reads, pages.store.id, pages.beginning(after))
        return pages.send_page(await pages.priced_items(found, currency))

    @get(
        "/types",
        operation_id="listProductTypes",
        summary="Types with their options and the values in use",
        responses=answers(list[StorefrontType], "All types that have a product on sale."),
    )
    @asked_often
    async def types(self, counter: NamedDependency[Counter]) -> Response[bytes]:
        return counter.send(await list_types(counter.reads, counter.store.id))

    @get(
        "/best-selling",
        operation_id="listBestSelling",
        summary="What sells best",
        description="The 50 variants of which most units were ordered in the last 90 days. Where very much is"
        " ordered, the newest orders may be some seconds late.",
        responses=answers(list[StorefrontBestSeller], "Variants with units and amount, most units first."),
    )
    async def best_selling(
        self,
        counter: NamedDependency[Counter],
        now: NamedDependency[datetime],
        currency: InCurrency = None,
    ) -> Response[bytes]:
        found = await list_best_selling(counter.reads, counter.store.id, now=now)
        return counter.send(await counter.priced(found, currency), lasting=False)

    @get(
        "/{handle:str}",
        operation_id="getProduct",
        summary="One product by its handle",
        responses=answers(StorefrontProduct, "The product."),
    )
    @asked_often
    async def product(
        self,
        counter: NamedDependency[Counter],
        handle: FromPath[str],
        currency: InCurrency = None,
    ) -> Response[bytes]:
        found = await get_product(counter.reads, counter.store.id, handle)
        return counter.send(await counter.priced(found, currency))
