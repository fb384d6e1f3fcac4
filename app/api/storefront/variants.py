"""Variants as shoppers see them (contract rows B50, B53, B55 and B57)."""

import re
from typing import Annotated, Literal

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, PathParameter, QueryParameter
from msgspec import Meta

from app.api.expand import parse_expand
from app.api.faults import invalid_field
from app.api.limits import MAX_ID
from app.api.openapi import PARAMETERS
from app.api.paging import After
from app.api.request import ShopRequest, query_pairs
from app.api.storefront.counter import Counter, InCurrency, PageCounter, asked_often, counters
from app.api.storefront.filters import FILTER_PARAMETERS, asked_filters
from app.api.storefront.wares import (
    Direction,
    Expand,
    StorefrontVariant,
    StorefrontVariantDetail,
    answers,
    page_of,
)
from app.domain.catalogue.pieces import VARIANT_EXPANDS
from app.domain.catalogue.queries import VariantFilter, get_variant, list_variants, list_variants_by_ids
from app.domain.discovery.colors import list_variants_by_colors
from app.kit.colors import parse_rgb
from app.kit.paging import MAX_PAGE_SIZE

_Id = Annotated[int, Meta(ge=1, le=MAX_ID)]
_Ids = Annotated[
    list[_Id] | None, QueryParameter(name="product_ids[]", description="Ids of variants, 100 at most.")
]
_Colors = Annotated[
    list[str] | None,
    QueryParameter(name="colors[]", description="Six hexadecimal digits each, as `2f5d3a`; ten at most."),
]
MOST_COLORS = 10
Order = Literal["date", "title", "price", "best_selling", "search_match", "review_rating"]


def _numbered(request: ShopRequest, name: str) -> list[str]:
    """The values of `name[0]`, `name[1]` and so on, as some clients write a list, in the order they came."""
    return [value for key, value in query_pairs(request) if re.fullmatch(rf"{name}\[[0-9]{{1,4}}\]", key)]


def _read_ids(texts: list[str]) -> list[int]:
    try:
        return msgspec.convert(texts, list[_Id], strict=False)
    except msgspec.ValidationError:
        raise invalid_field("product_ids", "wrong_type", "Ids are whole numbers.") from None


def _read_colors(codes: list[str]) -> list[int]:
    if not codes:
        raise invalid_field("colors", "required", "Name a colour, as colors[]=2f5d3a.")
    if len(codes) > MOST_COLORS:
        raise invalid_field("colors", "too_long", f"At most {MOST_COLORS} colours can be asked for.")
    found = []
    for place, code in enumerate(codes):
        rgb = parse_rgb(code)
        if rgb is None:
            raise invalid_field(f"colors[{place}]", "invalid_color", "A colour is six hexadecimal digits.")
        found.append(rgb)
    return found


class VariantController(Controller):
    """A variant is what carts, reviews and these lists call a product."""

    path = "/products/variants"
    tags = ("Catalogue",)
    dependencies = counters()

    @get(
        operation_id="listVariants",
        summary="A flat list of variants",
        description="Narrowed by `search` and by filters: any value of one, all of them together. The newest"
        " first, or with `search` the best match; where more than 1,000 fit the words, those that fit best are"
        " listed and `_meta.totalIsMinimum` is true.",
        opt={PARAMETERS: FILTER_PARAMETERS},
        responses=answers(page_of(StorefrontVariant), "A page of variants."),
    )
    @asked_often
    async def variants(
        self,
        pages: NamedDependency[PageCounter],
        search: Annotated[str, QueryParameter(max_length=200)] = "",
        after: After = "",
        order_by: FromQuery[Order | None] = None,
        order_type: FromQuery[Direction | None] = None,
        expand: Expand = None,
        currency: InCurrency = None,
    ) -> Response[bytes]:
        wanted = VariantFilter(
            filters=asked_filters(pages.request),
            words=search,
            language=pages.store.language,
            synonyms=pages.store.search.synonyms,
            order_by=order_by or ("search_match" if search else "date"),
            descending=None if order_type is None else order_type == "desc",
        )
        found = await list_variants(
            pages.reads, pages.store.id, pages.beginning(after), wanted, parse_expand(expand, VARIANT_EXPANDS)
        )
        return pages.send_page(await pages.priced_items(found, currency))

    @get(
        "/by-ids",
        operation_id="listVariantsByIds",
        summary="Variants by their ids, in the order asked for",
        responses=answers(list[StorefrontVariant], "The variants that are on sale; others are left out."),
    )
    @asked_often
    async def by_ids(
        self,
        counter: NamedDependency[Counter],
        ids_in_brackets: _Ids = None,
        product_ids: Annotated[
            list[_Id] | None, QueryParameter(description="The same as `product_ids[]`.")
        ] = None,
        expand: Expand = None,
        currency: InCurrency = None,
    ) -> Response[bytes]:
        ids = [*(ids_in_brackets or ()), *(product_ids or ())]
        ids = ids or _read_ids(_numbered(counter.request, "product_ids"))
        if len(ids) > MAX_PAGE_SIZE:
            raise invalid_field("product_ids", "too_long", f"At most {MAX_PAGE_SIZE} ids can be asked for.")
        found = await list_variants_by_ids(
            counter.reads, counter.store.id, ids, parse_expand(expand, VARIANT_EXPANDS)
        )
        return counter.send(await counter.priced(b"[%b]" % found, currency))

    @get(
        "/by-colors",
        operation_id="listVariantsByColors",
        summary="Variants by colour, the nearest first",
        description="The 50 variants nearest to any of the colours, by CIEDE2000 over the variants' own colours.",
        responses=answers(list[StorefrontVariant], "The variants, nearest first."),
    )
    @asked_often
    async def by_colors(
        self,
        counter: NamedDependency[Counter],
        colors_in_brackets: _Colors = None,
        colors: Annotated[list[str] | None, QueryParameter(description="The same as `colors[]`.")] = None,
        expand: Expand = None,
        currency: InCurrency = None,
    ) -> Response[bytes]:
        codes = [*(colors_in_brackets or ()), *(colors or ())]
        wanted = _read_colors(codes or _numbered(counter.request, "colors"))
        expands = parse_expand(expand, VARIANT_EXPANDS)
        found = await list_variants_by_colors(counter.reads, counter.store.id, wanted, expands)
        return counter.send(await counter.priced(found, currency))

    @get(
        "/{variant_id:int}",
        operation_id="getVariant",
        summary="One variant",
        responses=answers(
            StorefrontVariantDetail, "The variant, with what is known of reviews and questions."
        ),
    )
    @asked_often
    async def variant(
        self,
        counter: NamedDependency[Counter],
        variant_id: Annotated[int, PathParameter(ge=1, le=MAX_ID)],
        expand: Expand = None,
        currency: InCurrency = None,
    ) -> Response[bytes]:
        expands = parse_expand(expand, VARIANT_EXPANDS)
        found = await get_variant(counter.reads, counter.store.id, variant_id, expands)
        return counter.send(await counter.priced(found, currency))
