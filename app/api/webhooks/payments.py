"""Events of payment services: one address a service."""

from litestar import post
from litestar.params import FromPath

from app.api.dependencies import GivenNow, GivenSession, GivenShop
from app.api.request import ShopRequest
from app.api.transactions import transactional
from app.domain.checkout.events import take_event


@post(
    "/webhooks/{service:str}",
    status_code=200,
    tags=["Webhooks"],
    operation_id="takePaymentEvent",
    summary="An event of a payment service",
)
@transactional
async def payment_event(
    request: ShopRequest, service: FromPath[str], session: GivenSession, shop: GivenShop, now: GivenNow
) -> dict[str, bool]:
    """Takes a signed event; the same one again answers `taken: false` and has no effect.

    Needs no login: the signature on the raw body is the proof. A bad one is 403 `bad_signature`.
    """
    speaker = shop.till.get_service(service)
    event = speaker.read_event(await request.body(), request.headers, now=now)
    taken = await take_event(session, shop.stores, service=service, event=event, now=now)
    return {"received": True, "taken": taken}
