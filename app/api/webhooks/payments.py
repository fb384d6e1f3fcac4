"""Events of payment services: one address a service."""

from litestar import post
from litestar.params import FromPath

from app.api.dependencies import GivenNow, GivenShop
from app.api.request import ShopRequest
from app.db.retries import run_transaction
from app.domain.checkout.events import take_event


@post(
    "/webhooks/{service:str}",
    status_code=200,
    tags=["Webhooks"],
    operation_id="takePaymentEvent",
    summary="An event of a payment service",
)
async def payment_event(
    request: ShopRequest, service: FromPath[str], shop: GivenShop, now: GivenNow
) -> dict[str, bool]:
    """Takes a signed event; the same one again answers `taken: false` and has no effect.

    Needs no login: the signature on the raw body is the proof. A bad one is 403 `bad_signature`; a 503 says that
    the signature could not be checked, and the event is to be sent again.
    """
    speaker = shop.till.get_service(service)
    # Checking may mean asking the service, which no transaction waits for.
    event = await speaker.read_event(await request.body(), request.headers, now=now)
    taken = await run_transaction(
        shop.sessions,
        lambda session: take_event(session, shop.stores, service=service, event=event, now=now),
        repeatable=False,
    )
    return {"received": True, "taken": taken}
