"""Every call of the storefront as the tests of identities send it, in a row that customer A succeeds with."""

from tests.api.account_shop import OTHER_PASSWORD, PASSWORD
from tests.api.identities import FIRST, LAST, STREET, Call
from tests.shop import ADDRESS

NEW_PASSWORD = {"password": OTHER_PASSWORD, "confirm_password": OTHER_PASSWORD}
SOMEBODY = {"email": "somebody@example.com", "shipping_address": ADDRESS}
LINE = {"product_id": "$variant", "quantity": 2}
CREDENTIAL = {"id": "bm9uZQ", "rawId": "bm9uZQ", "type": "public-key"}
NEW_CREDENTIAL = CREDENTIAL | {"response": {"clientDataJSON": "e30", "attestationObject": "oA"}}
USED_CREDENTIAL = CREDENTIAL | {
    "response": {"clientDataJSON": "e30", "authenticatorData": "oA", "signature": "oA", "userHandle": "oA"}
}

CUSTOMER = (
    Call("GET /customer", shows=LAST),
    Call("PATCH /customer", {"firstname": "Adele"}, shows="Adele"),
    Call("DELETE /customer", {"current_password": PASSWORD}, ok=204, once=True),
    Call("GET /customer/export", shows=STREET),
    Call("GET /customer/referral"),
    Call("GET /customer/store-credit"),
    Call("POST /customer/withdrawals", {"amount": 1}, ok=422),
    Call("GET /customer/sessions", shows="tablet"),
    Call("DELETE /customer/sessions", ok=204, once=True),
    Call("DELETE /customer/sessions/$session", ok=204, once=True),
    Call("GET /customer/addresses", shows=STREET),
    Call("POST /customer/addresses", ADDRESS, shows="12 Mill Lane"),
    Call("GET /customer/addresses/$address", shows=STREET),
    Call("PUT /customer/addresses/$address", ADDRESS, shows="12 Mill Lane"),
    Call("PUT /customer/addresses/$address", ADDRESS | {"id": "$address"}, shows="12 Mill Lane"),
    Call("DELETE /customer/addresses/$address", ok=204, once=True),
    Call("GET /customer/passkeys", shows=FIRST),
    Call("POST /customer/passkeys/options", {"password": PASSWORD}, shows=FIRST),
    Call("POST /customer/passkeys", {"credential": NEW_CREDENTIAL, "name": "mine"}, ok=422),
    Call("DELETE /customer/passkeys/$passkey", ok=204, once=True),
    Call("GET /customer/payment-methods", shows=FIRST),
    Call("DELETE /customer/payment-methods/$method", ok=204, once=True),
    Call("POST /customer/logout", shows="true", once=True),
    Call(
        "POST /customer/password/reset", NEW_PASSWORD | {"current_password": PASSWORD}, shows=LAST, once=True
    ),
)

DOORS = (
    Call("POST /customer/login", {"email": "$email", "password": "not the password"}, ok=401),
    # A customer's cart and checkout are not brought along by whoever only knows their names.
    Call(
        "POST /customer/login",
        {"email": "$email", "password": "no", "cart_uuid": "$cart", "checkout_token": "$checkout"},
        ok=401,
    ),
    Call(
        "POST /customer/signup",
        {"username": "Eve", "email": "$email", "password": PASSWORD},
        ok=422,
        tells="a sign-up says email_taken, so often an hour and no more",
    ),
    Call("POST /customer/login/code", {"email": "$email"}, ok=204),
    Call("POST /customer/login/code/confirm", {"email": "$email", "code": "000000"}, ok=401),
    Call("POST /customer/login/passkey/options", {}),
    Call("POST /customer/login/passkey", {"login_id": "none", "credential": USED_CREDENTIAL}, ok=401),
    Call("POST /customer/login/google", {"token": "e30.e30.e30"}, ok=401),
    Call("POST /customer/login/google", {"token": "e30.e30.e30", "email": "$email"}, ok=401),
    Call("POST /customer/login/facebook", {"token": "none", "email": "$email", "password": "no"}, ok=401),
    Call("GET /customer/oauth/$provider", ok=302),
    Call("GET /customer/oauth/$provider/callback", query={"state": "none", "code": "none"}, ok=302),
    Call("POST /customer/oauth/finish", {"code": "none", "email": "$email"}, ok=401),
    Call("POST /customer/password/forgot", {"email": "$email"}, ok=204),
    Call("GET /customer/password/token", query={"token": "$reset"}, is_key=True),
    Call(
        "POST /customer/password/reset",
        NEW_PASSWORD | {"password_reset_token": "$reset"},
        shows=LAST,
        is_key=True,
        once=True,
    ),
    Call(
        "POST /customer/login/reset-token",
        {"password_reset_token": "$reset"},
        shows=LAST,
        is_key=True,
        once=True,
    ),
    Call("POST /customer/login/uuid", {"uuid": "$link"}, shows=LAST, is_key=True, once=True),
    Call("POST /customer/login/uuid", {"uuid": "$order_link"}, shows=LAST, is_key=True, once=True),
    Call("POST /customer/email/verify", {"token": "$verify"}, ok=204, is_key=True, once=True),
)

NEWSLETTER = (
    Call("POST /subscriptions", {"email": "$email"}),
    Call("POST /products/back-in-stock", {"email": "$email", "product_ids": ["$variant"]}),
    Call("POST /subscriptions/confirm", {"token": "none"}, ok=404),
    Call("GET /subscriptions/$newsletter", is_key=True, shows="@example.com"),
    Call("GET /subscriptions/$mailed_newsletter", is_key=True, shows="@example.com"),
    Call(
        "PUT /subscriptions/$newsletter",
        {"name": "Eve", "day": 3, "month": 2, "year": 1990, "gender": "other"},
        is_key=True,
        shows="Eve",
    ),
    Call("POST /subscriptions/$newsletter/unsubscribe", {"unsubscribe_note": "no"}, is_key=True),
    Call("GET /subscriptions/$newsletter/unsubscribe", ok=303),
)

CART = (
    Call("GET /cart", looks=True),
    Call("GET /cart", query={"cart_uuid": "$cart"}, looks=True),
    Call("POST /cart/items", LINE, looks=True),
    Call("POST /cart/items", LINE | {"cart_uuid": "$cart"}, looks=True),
    Call("PUT /cart/items", LINE | {"cart_uuid": "$cart"}, looks=True),
    Call(
        "PUT /cart/items",
        {"product_id": "$variant", "quantity": 0, "cart_uuid": "$cart"},
        ok=204,
        once=True,
        looks=True,
    ),
    Call("DELETE /cart/items", query={"product_id": "$variant", "cart_uuid": "$cart"}, ok=204, looks=True),
    Call("PUT /cart", {"cart_uuid": "$cart", "note": "Ring twice."}, looks=True),
    Call("POST /cart/merge", {"cart_uuid": "$cart", "merge": 1}),
    Call("POST /cart/merge", {"cart_uuid": "$cart", "merge": 0}),
    Call("POST /cart/coupon", {"cart_uuid": "$cart", "code": "NONE"}, ok=422),
    Call("DELETE /cart/coupon", query={"cart_uuid": "$cart"}),
    Call("DELETE /cart/coupon"),
)

CHECKOUT = (
    Call("POST /checkout", {"cart_uuid": "$cart"}, shows=STREET, looks=True),
    Call("GET /checkout/$checkout", is_key=True, shows=STREET),
    Call("GET /checkout/$paid_checkout", query={"expand": "order"}, is_key=True, shows=STREET),
    Call("PUT /checkout/$checkout/customer", SOMEBODY, is_key=True, shows="12 Mill Lane", looks=True),
    Call(
        "PUT /checkout/$checkout/customer", {"shipping_address": {"id": "$address"}}, shows=STREET, looks=True
    ),
    Call("PUT /checkout/$checkout/shipping", {"shipping_option_id": "$option"}, is_key=True),
    Call("PUT /checkout/$checkout/coupon", {"coupon": "NONE"}, ok=422, is_key=True),
    Call("DELETE /checkout/$checkout/coupon", is_key=True),
    Call("PUT /checkout/$checkout/gift-card", {"code": "NONE"}, ok=422, is_key=True),
    Call("DELETE /checkout/$checkout/gift-card", is_key=True),
    Call("PUT /checkout/$checkout/store-credit", {"use_store_credit": True}),
    Call("POST /gift-cards/balance", {"code": "NONE"}, ok=422),
    Call("POST /checkout/$checkout/payment", {"payment_type": "manual", "amount": 1}, ok=409, is_key=True),
    Call(
        "POST /checkout/$checkout/payment",
        {"payment_type": "test", "amount": 1, "payment_method_id": "$method"},
        ok=409,
    ),
    Call("POST /checkout/$checkout/payment/$service", {"service": "test"}, is_key=True),
    Call("POST /checkout/$checkout/payment/$service/confirm", {"service": "test"}, ok=409, is_key=True),
)

ORDERS = (
    Call("GET /orders", shows=STREET),
    Call("GET /orders/$order", shows=STREET, looks=True),
    Call("GET /orders/$order", headers={"X-Checkout-Token": "$paid_checkout"}, shows=STREET, is_key=True),
    Call("GET /orders/$order", headers={"X-Checkout-Token": "$checkout"}, shows=STREET),
    Call("GET /orders/$order/tracking", headers={"X-Checkout-Token": "$paid_checkout"}, is_key=True),
    Call("GET /orders/$order/tracking", looks=True),
    Call("POST /orders/$order/cancellation", {"reason": "none", "note": ""}, ok=422, looks=True),
    Call("DELETE /orders/$order/cancellation", ok=204, looks=True),
    Call("POST /orders/find", {"order": "#1001", "email": "$email"}, ok=204),
    Call("POST /orders/$order/access", {"uuid": "$order_link"}, shows=STREET, is_key=True, once=True),
    Call("POST /orders/$order/access", {"uuid": "none"}, ok=404),
)

# Nobody's in particular.
OPEN = (
    Call("GET /headers"),
    Call("GET /discounts/gift", query={"price": 1}, ok=404),
    Call("GET /options"),
    Call("GET /settings/customer-password"),
    Call("GET /resolve", query={"first": "products", "second": "$product"}),
    Call("GET /products"),
    Call("GET /products/best-selling"),
    Call("GET /products/search", query={"q": "mug"}),
    Call("GET /search", query={"search": "mug"}),
    Call("GET /search/popular"),
    Call("GET /products/types"),
    Call("GET /products/variants"),
    Call("GET /products/variants/by-colors", query={"colors[]": "2f6158"}),
    Call("GET /products/variants/by-ids", query={"product_ids[]": "$variant"}),
    Call("GET /products/variants/$variant"),
    Call("GET /products/$product"),
    Call("GET /collections"),
    Call("GET /collections/$collection"),
    Call("GET /collections/$collection/products"),
    Call("GET /categories"),
    Call("GET /category/$category"),
    Call("GET /category/$category/products"),
)

TABLE = (*CUSTOMER, *DOORS, *NEWSLETTER, *CART, *CHECKOUT, *ORDERS, *OPEN)
