"""Public settings of the store in one call (contract row B68)."""

from typing import Any

import msgspec
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from app.api.caching import cached_response
from app.api.dependencies import GivenShop, GivenStore
from app.api.request import ShopRequest
from app.api.storefront.checkouts import StorefrontService, show_services
from app.kit.money import exponent
from app.kit.places import country_name, list_regions

# A review may have up to three pictures and a rating in halves (contract row B58).
REVIEW_LIMITS = {"files": 3, "rating_min": 1, "rating_max": 5, "rating_step": 0.5}


class Region(msgspec.Struct, frozen=True):
    code: str
    name: str


class Country(msgspec.Struct, frozen=True):
    code: str
    name: str
    regions: list[Region]


class Currency(msgspec.Struct, frozen=True):
    code: str
    exponent: int


class StorefrontOptions(msgspec.Struct):
    """What a shop page needs to know before the first click."""

    store: str
    order_cancellation_reasons: list[str]
    currencies: list[Currency]
    countries: list[Country]
    payment_services: list[StorefrontService]
    contact_subjects: list[str]
    review_limits: dict[str, Any]


@get(
    "/options",
    tags=["Settings"],
    operation_id="getOptions",
    summary="Public settings",
    responses={
        200: ResponseSpec(StorefrontOptions, description="The settings."),
        304: ResponseSpec(None, description="Unchanged since the `If-None-Match` that was sent."),
    },
)
async def options(request: ShopRequest, store: GivenStore, shop: GivenShop) -> Response[bytes]:
    """Countries that the store ships to, currencies, payment services, reasons and subjects."""
    answer = StorefrontOptions(
        store=store.name,
        order_cancellation_reasons=list(store.cancellation_reasons),
        currencies=[Currency(store.currency, exponent(store.currency))],
        countries=[
            Country(code, country_name(code), [Region(*region) for region in list_regions(code)])
            for code in store.shipping_countries()
        ],
        payment_services=show_services(store, shop),
        contact_subjects=list(store.contact_subjects),
        review_limits=REVIEW_LIMITS,
    )
    return cached_response(request, msgspec.json.encode(answer))
