"""Live rates over HTTP: one documented JSON form, behind which any carrier's own service can be put."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Final

import httpx2
import msgspec
import structlog

from app.domain.checkout.carriers import CarrierRate, CarrierSilentError, ParcelOffer
from app.integrations.oauth.http import client_options
from app.settings import CarrierService

log = structlog.get_logger("storefront.carriers")

# After so many silences in a row nobody waits for a carrier until it has had some rest.
MOST_SILENCES: Final = 3
REST_SECONDS: Final = 10.0
# Beyond it a price is a mistake, not a price.
MOST_PRICE: Final = 10**9

Days = Annotated[int, msgspec.Meta(ge=0, le=365)]


class _Rate(msgspec.Struct, frozen=True):
    service: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    price: Annotated[int, msgspec.Meta(ge=0, le=MOST_PRICE)]
    currency: str
    min_days: Days | None = None
    max_days: Days | None = None


class _Answer(msgspec.Struct, frozen=True):
    rates: Annotated[list[_Rate], msgspec.Meta(max_length=100)]


_decode: Final = msgspec.json.Decoder(_Answer).decode
_encode: Final = msgspec.json.Encoder().encode


class HttpCarrier:
    """Implements the domain's Carrier. docs/shipping.md has the form of the call."""

    def __init__(self, service: CarrierService, *, seconds: float) -> None:
        self._name, self._url, self._seconds = service.name, service.url, seconds
        options = client_options()
        options["headers"] |= {"Content-Type": "application/json"}
        if service.token:
            options["headers"]["Authorization"] = f"Bearer {service.token}"
        self._client = httpx2.AsyncClient(**options)
        self._silences = 0
        self._rests_until = 0.0

    async def rates(self, parcel: ParcelOffer) -> Sequence[CarrierRate]:
        if time.monotonic() < self._rests_until:
            raise CarrierSilentError("it did not answer before")
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._client.post(self._url, content=_encode(parcel))
            rates = self._read(answer, parcel)
        except (
            TimeoutError,
            httpx2.HTTPError,
            httpx2.InvalidURL,
            msgspec.MsgspecError,
            UnicodeError,
        ) as error:
            self._silences += 1
            if self._silences >= MOST_SILENCES:
                self._rests_until = time.monotonic() + REST_SECONDS
            log.warning("carrier silent", carrier=self._name, error=type(error).__name__)
            raise CarrierSilentError(type(error).__name__) from error
        self._silences = 0
        return rates

    async def close(self) -> None:
        await self._client.aclose()

    def _read(self, answer: httpx2.Response, parcel: ParcelOffer) -> list[CarrierRate]:
        if answer.status_code != httpx2.codes.OK:
            raise httpx2.HTTPStatusError(
                f"answered {answer.status_code}", request=answer.request, response=answer
            )
        read = _decode(answer.content)
        if any(rate.currency != parcel.currency for rate in read.rates):
            raise msgspec.ValidationError("a rate in another currency")
        if any((rate.min_days or 0) > (rate.max_days or rate.min_days or 0) for rate in read.rates):
            raise msgspec.ValidationError("more days at least than at most")
        return [CarrierRate(rate.service, rate.price, rate.min_days, rate.max_days) for rate in read.rates]
