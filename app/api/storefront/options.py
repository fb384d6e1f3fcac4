"""Public settings of the store in one call (contract row B68)."""

from typing import Any

import msgspec
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from app.api.caching import cached_response
from app.api.dependencies import GivenGate, GivenShop, GivenStore
from app.api.request import ShopRequest
from app.api.storefront.checkouts import StorefrontService, show_services
from app.domain.customers.providers import Providers
from app.kit.money import exponent
from app.kit.places import country_name, list_regions
from app.settings import Settings

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
    """A currency that carts can be in; the first of them is the store's own."""

    code: str
    exponent: int


class LoginProvider(msgspec.Struct, frozen=True):
    """`redirect` begins a login there and back; `client_id` is what the provider's own page script wants."""

    name: str
    redirect: str | None = None
    client_id: str | None = None


class StorefrontOptions(msgspec.Struct):
    """What a shop page needs to know before the first click."""

    store: str
    order_cancellation_reasons: list[str]
    currencies: list[Currency]
    countries: list[Country]
    payment_services: list[StorefrontService]
    login_providers: list[LoginProvider]
    contact_subjects: list[str]
    review_limits: dict[str, Any]


def list_providers(settings: Settings, providers: Providers) -> list[LoginProvider]:
    """The providers that are set, each once, however many ways it has."""
    clients: dict[str, str] = {}
    if providers.google is not None:
        clients["google"] = settings.google_client_ids[0]
    if providers.facebook is not None:
        clients["facebook"] = settings.facebook_app_id
    return [
        LoginProvider(
            name,
            f"/storefront/v1/customer/oauth/{name}" if name in providers.redirects else None,
            clients.get(name),
        )
        for name in sorted({*clients, *providers.redirects})
    ]


@get(
    "/options",
    tags=["Settings"],
    operation_id="getOptions",
    summary="Public settings",
    responses={
        200: ResponseSpec(StorefrontOptions, description="The settings.", generate_examples=False),
        304: ResponseSpec(
            None, description="Unchanged since the `If-None-Match` that was sent.", generate_examples=False
        ),
    },
)
async def options(
    request: ShopRequest, store: GivenStore, shop: GivenShop, gate: GivenGate
) -> Response[bytes]:
    """Countries that the store ships to, currencies, ways to pay and to log in, reasons and subjects."""
    currencies = [store.currency, *(rule.code for rule in store.currencies)]
    answer = StorefrontOptions(
        store=store.name,
        order_cancellation_reasons=list(store.cancellation_reasons),
        currencies=[Currency(code, exponent(code)) for code in currencies],
        countries=[
            Country(code, country_name(code), [Region(*region) for region in list_regions(code)])
            for code in store.shipping_countries()
        ],
        payment_services=show_services(store, shop, currencies),
        login_providers=list_providers(shop.settings, gate.providers),
        contact_subjects=list(store.contact_subjects),
        review_limits=REVIEW_LIMITS,
    )
    return cached_response(request, msgspec.json.encode(answer))
