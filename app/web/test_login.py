"""The page of the test provider: where whoever logs in says who they are, or would rather not."""

from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from litestar import Response, get, post

from app.api.faults import invalid_field
from app.api.request import ShopRequest
from app.domain.customers.providers import RedirectProvider
from app.integrations.test_logins import LoginRequest, TestLogins
from app.kit.clock import utc_now
from app.kit.errors import NOT_FOUND, NotFound
from app.kit.places import email_form

_templates: Final = Environment(
    loader=PackageLoader("app.web", "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Answer(LoginRequest, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What the form sends: who it is, and what the shop had asked."""

    email: str = ""
    name: str = ""
    verified: bool = False
    decision: Literal["approve", "cancel"] = "approve"


def test_login_handlers(providers: Mapping[str, RedirectProvider], *, shop_url: str) -> list[Any]:
    """The provider's two routes; none where it is off."""
    provider = providers.get(TestLogins.name)
    if not isinstance(provider, TestLogins):
        return []
    shop = urlsplit(shop_url)
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {shop.scheme}://{shop.netloc}"
    )

    @get("/test-login", include_in_schema=False)
    async def ask(request: ShopRequest) -> Response[str]:
        asked = _read(request.query_params.dict())
        if not provider.is_ours(asked.redirect_uri):
            raise NotFound(NOT_FOUND, "This is no login of this shop.")
        page = _templates.get_template("test_login.html").render(asked=msgspec.to_builtins(asked))
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})

    @post("/test-login", include_in_schema=False, status_code=303)
    async def decide(request: ShopRequest) -> Response[None]:
        sent = await request.read(Answer)
        if sent.decision == "cancel":
            back = provider.cancel(sent)
        else:
            email = email_form(sent.email)
            if email is None:
                raise invalid_field("email", "invalid_email", "This is no mail address.")
            back = provider.approve(
                sent, email=email, name=sent.name, is_verified=sent.verified, now=utc_now()
            )
        if back is None:
            raise NotFound(NOT_FOUND, "This is no login of this shop.")
        return Response(None, status_code=303, headers={"Location": back})

    return [ask, decide]


def _read(query: Mapping[str, list[str]]) -> LoginRequest:
    try:
        return msgspec.convert({name: values[-1] for name, values in query.items()}, LoginRequest)
    except msgspec.ValidationError:
        raise NotFound(NOT_FOUND, "This is no login of this shop.") from None
