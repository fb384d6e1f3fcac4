"""What the document says of who may make a call: read from what its handler asks for, never from a list."""

from typing import Any, Final

from litestar.openapi.spec import SecurityScheme

from app.api.credentials import CART_COOKIE, DEMANDS_LOGIN, SESSION_COOKIE

# A key of a handler's `opt`: where the call names no cart, it is the one of a guest's cookie.
CART: Final = "cart_cookie"

CHECKOUT_HEADER: Final = "X-Checkout-Token"
_BY_LOGIN: Final = ("bearer", "session")

SCHEMES: Final = {
    "bearer": SecurityScheme(
        type="http", scheme="bearer", description="The `auth_key` that a login or sign-up answers."
    ),
    "session": SecurityScheme(
        type="apiKey",
        security_scheme_in="cookie",
        name=SESSION_COOKIE,
        description=(
            "The cookie that a login with `X-Session: cookie` sets, in place of an `auth_key`. A call that "
            "changes something must come from one of the shop's own pages, which browsers say by themselves "
            "(`Sec-Fetch-Site: same-origin`, or an `Origin` that is set up): else 403 `csrf_refused`."
        ),
    ),
    "cart": SecurityScheme(
        type="apiKey",
        security_scheme_in="cookie",
        name=CART_COOKIE,
        description=(
            "A guest's cart, for calls that name none by `cart_uuid`. Set where a cart is made with "
            "`X-Session: cookie`; the rule for pages is that of `session`."
        ),
    ),
    "checkout": SecurityScheme(
        type="apiKey",
        security_scheme_in="header",
        name=CHECKOUT_HEADER,
        description="The `checkout_token` of the checkout that an order was placed with; it opens that order.",
    ),
}


def demands_login(handler: Any) -> bool:
    """Whether nobody gets into a handler without a login."""
    if not _asks_who(handler):
        return False
    return bool(getattr(handler.resolve_dependencies()["actor"].dependency, DEMANDS_LOGIN, False))


def requirements(handler: Any) -> list[dict[str, list[str]]]:
    """The `security` of a call: any of these will do, `{}` is nothing at all; empty where nobody is asked."""
    if not _asks_who(handler):
        return []
    ways = [*_BY_LOGIN]
    if handler.opt.get(CART):
        ways.append("cart")
    by_checkout = any(
        getattr(parameter.kwarg_definition, "name", None) == CHECKOUT_HEADER
        for parameter in handler.parsed_fn_signature.parameters.values()
    )
    if by_checkout:
        ways.append("checkout")
    needed: list[dict[str, list[str]]] = [{way: []} for way in ways]
    return needed if by_checkout or demands_login(handler) else [{}, *needed]


def _asks_who(handler: Any) -> bool:
    return "actor" in handler.parsed_fn_signature.parameters
