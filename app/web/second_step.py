"""The page of the test bank: where the shopper approves or declines a payment that needs a second step."""

from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from litestar import Response, get, post
from litestar.params import FromPath

from app.api.request import ShopRequest
from app.domain.payments.services import PaymentService
from app.integrations.test_payments import TestPayments
from app.kit import money
from app.kit.errors import NOT_FOUND, NotFound

_templates: Final = Environment(
    loader=PackageLoader("app.web", "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Decision(msgspec.Struct, forbid_unknown_fields=True):
    """What the shopper says; a call without a body approves, which is handy on the command line."""

    decision: Literal["approve", "decline"] = "approve"


def second_step_handlers(services: Mapping[str, PaymentService], *, shop_url: str) -> list[Any]:
    """The bank's two routes; none where the test service is off."""
    bank = services.get(TestPayments.name)
    if not isinstance(bank, TestPayments):
        return []
    shop = urlsplit(shop_url)
    # The answer to the form leads back to the shop, which browsers count as the form's target too.
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {shop.scheme}://{shop.netloc}"
    )

    @get("/test-payments/{reference:str}", include_in_schema=False)
    async def ask(reference: FromPath[str]) -> Response[str]:
        charge = await bank.get_charge(reference)
        if charge is None:
            raise NotFound(NOT_FOUND, "There is no payment of this name.")
        page = _templates.get_template("second_step.html").render(
            amount=money.to_decimal_text(charge.amount, charge.currency),
            currency=charge.currency,
            reference=reference,
            return_url=charge.return_url,
            waiting=charge.state == "waiting",
        )
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})

    @post("/test-payments/{reference:str}", include_in_schema=False, status_code=303)
    async def decide(request: ShopRequest, reference: FromPath[str]) -> Response[None]:
        data = await request.read(Decision) if await request.body() else Decision()
        charge = await bank.get_charge(reference)
        if charge is None:
            raise NotFound(NOT_FOUND, "There is no payment of this name.")
        await bank.decide(reference, approve=data.decision == "approve")
        return Response(None, status_code=303, headers={"Location": charge.return_url})

    return [ask, decide]
