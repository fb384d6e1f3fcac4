"""What schemathesis is told of the demo shop: things that are there, for the cases that are meant to succeed.

Loaded by schemathesis itself (see spec.py). Cases that are meant to be refused keep what makes them wrong, and
get real values in their path only, so that they come as far as the fault.
"""

import atexit
import json
import os
from collections import Counter
from collections.abc import Callable, MutableMapping
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from schemathesis.core.parameters import ParameterLocation

from tests.contract.scene import Scene, SetupError
from tests.contract.scene import Shop as DemoShop
from tests.contract.setups import ADDRESS, NEW_PASSWORD, PASSWORD, SETUPS

# Carts and checkouts of which a call makes use once; past so many, the last one must do.
FRESH = 12
Real = dict[str, dict[str, Any]]

_shop = DemoShop(
    httpx.Client(base_url=os.environ["SPEC_URL"], timeout=20),
    mails=Path(os.environ["SPEC_DATA"]),
    demo=json.loads(os.environ["SPEC_DEMO"]),
)
_answers: Counter[tuple[str, int]] = Counter()
_kept: dict[str, list[Real]] = {}
# Cards of the `test` service by turns, so that each documented outcome of paying is seen.
_outcomes = cycle(("ok", "late", "decline", "second_step"))


def _cart(scene: Scene) -> Real:
    named = {"cart_uuid": scene.use("cart")["uuid"], "product_id": scene.use("catalogue")["variant"]["id"]}
    return {"query": named, "body": named | {"quantity": 1}}


def _cart_code(scene: Scene) -> Real:
    named = {"cart_uuid": scene.use("cart")["uuid"]}
    return {"query": named, "body": named | {"code": scene.demo("coupon")}}


def _product(scene: Scene) -> Real:
    return {"path": {"handle": scene.use("catalogue")["product"]["handle"]}}


def _variant(scene: Scene) -> Real:
    variant = scene.use("catalogue")["variant"]["id"]
    return {"path": {"variant_id": variant}, "query": {"product_ids": [variant]}}


def _place_of_product(scene: Scene) -> Real:
    return {"query": {"first": "products", "second": scene.use("catalogue")["product"]["handle"]}}


def _sold_out(scene: Scene) -> Real:
    made = scene.use("catalogue")
    return {"body": {"email": scene.use("name")["email"], "product_ids": [made["scarce"]["id"]]}}


def _shelf(kind: str) -> Callable[[Scene], Real]:
    return lambda scene: {"path": {"handle": scene.use(kind)["handle"]}}


def _words(scene: Scene) -> Real:
    return {"query": {"q": scene.use("catalogue")["word"]}}


def _search(scene: Scene) -> Real:
    return {"query": {"search": scene.use("catalogue")["word"]}}


def _customer(scene: Scene) -> Real:
    body = {"email": scene.use("name")["email"], "shipping_address": ADDRESS, "billing_address": ADDRESS}
    return {"path": {"checkout_token": scene.use("checkout")["token"]}, "body": body}


def _code(scene: Scene) -> Real:
    made = scene.use("checkout")
    return {"path": {"checkout_token": made["token"]}, "body": {"coupon": scene.demo("coupon")}}


def _gift_card(scene: Scene) -> Real:
    made = scene.use("checkout")
    return {"path": {"checkout_token": made["token"]}, "body": {"code": scene.demo("gift_card")}}


def _credit(scene: Scene) -> Real:
    token = scene.use("customer_checkout")["token"]
    return _customer_call(scene) | {
        "path": {"checkout_token": token},
        "body": {"use_store_credit": True},
    }


def _shipping(scene: Scene) -> Real:
    made = scene.use("addressed")
    return {"path": {"checkout_token": made["token"]}, "body": {"shipping_option_id": made["option"]["id"]}}


def _pay(scene: Scene) -> Real:
    made = scene.use("priced")
    body = {"payment_type": "test", "payment_token": next(_outcomes), "amount": made["amount"]}
    return {"path": {"checkout_token": made["token"], "service": "test"}, "body": body}


def _confirm(scene: Scene) -> Real:
    return {"path": {"checkout_token": scene.use("second_step")["token"], "service": "test"}}


def _order(scene: Scene) -> Real:
    made = scene.use("order")
    return {
        "path": {"order_id": made["id"]},
        "headers": {"X-Checkout-Token": made["token"]},
        "body": {"order": made["number"], "email": made["email"]},
    }


def _cancellation(scene: Scene) -> Real:
    made = _order(scene)
    return made | {"body": {"reason": scene.use("options")["reason"], "note": "Ordered twice"}}


def _link(scene: Scene) -> Real:
    made = scene.use("order_link")
    return {"path": {"order_id": made["id"]}, "body": {"uuid": made["uuid"], "id": made["id"]}}


def _provider_token(name: str) -> Callable[[Scene], Real]:
    return lambda scene: {"body": {"token": scene.demo(name)}}


def _redirect(scene: Scene) -> Real:
    return {"path": {"provider": scene.demo("oauth_provider")}}


def _handed_over(scene: Scene) -> Real:
    made = scene.use("oauth_code")
    return {"headers": {"Cookie": made["cookie"]}, "body": {"code": made["code"]}}


def _subscribe(scene: Scene) -> Real:
    return {"body": {"email": scene.use("name")["email"]}}


def _subscription(scene: Scene) -> Real:
    birthday = {"day": 3, "month": 2, "year": 1990}
    return {"path": {"uuid": scene.use("subscription")["uuid"]}, "body": birthday}


def _confirmation(scene: Scene) -> Real:
    return {"body": {"token": scene.use("subscription_token")["token"]}}


def _sign_up(scene: Scene) -> Real:
    return {"body": {"email": scene.use("name")["email"], "password": PASSWORD, "country": "GB"}}


def _customer_call(scene: Scene) -> Real:
    """Whatever a customer sends of their own, by bearer."""
    known = scene.use("customer")
    body = {
        "email": known["email"],
        "current_password": PASSWORD,
        "password": PASSWORD,
        "confirm_password": PASSWORD,
        "birthday": "1990-02-03",
        "country": "GB",
    }
    return {"headers": {"Authorization": f"Bearer {known['auth_key']}"}, "body": body}


def _new_password(scene: Scene) -> Real:
    made = scene.use("reset_token")
    body = {
        "password_reset_token": made["token"],
        "password": NEW_PASSWORD,
        "confirm_password": NEW_PASSWORD,
    }
    return {"body": body, "query": {"token": made["token"]}}


def _login_link(scene: Scene) -> Real:
    return {"body": {"uuid": scene.use("login_link")["uuid"]}}


def _login_code(scene: Scene) -> Real:
    made = scene.use("login_code")
    return {"body": {"email": made["email"], "code": made["code"]}}


def _new_passkey(scene: Scene) -> Real:
    body = {"credential": scene.use("passkey_answer")["credential"]}
    return {"headers": _customer_call(scene)["headers"], "body": body}


def _passkey(scene: Scene) -> Real:
    made = scene.use("passkey")
    return {"headers": _customer_call(scene)["headers"], "path": {"passkey_id": made["id"]}}


def _payment_method(scene: Scene) -> Real:
    made = scene.use("payment_method")
    return {"headers": _customer_call(scene)["headers"], "path": {"method_id": made["id"]}}


def _passkey_login(scene: Scene) -> Real:
    made = scene.use("passkey_login")
    return {"body": {"login_id": made["login_id"], "credential": made["credential"]}}


def _verify(scene: Scene) -> Real:
    return {"body": {"token": scene.use("verify_token")["token"]}}


def _session(scene: Scene) -> Real:
    made = scene.use("session")
    return _customer_call(scene) | {"path": {"session_id": made["id"]}}


def _merge(scene: Scene) -> Real:
    return _customer_call(scene) | {"body": {"cart_uuid": scene.use("cart")["uuid"]}}


def _address(scene: Scene) -> Real:
    """An address, and as the body another one: it says what is needed, in the words that there are."""
    made = scene.use("address")
    body = dict(ADDRESS) | dict.fromkeys(("company", "province", "state", "country_code"))
    return _customer_call(scene) | {"path": {"address_id": made["id"]}, "body": body | {"id": made["id"]}}


def _withdrawal(scene: Scene) -> Real:
    known = scene.use("rewarded")
    return {"headers": {"Authorization": f"Bearer {known['auth_key']}"}, "body": {"amount": 1}}


REAL: dict[str, tuple[Callable[[Scene], Real], int]] = {
    "getProduct": (_product, 1),
    "getVariant": (_variant, 1),
    "listVariantsByIds": (_variant, 1),
    "searchProducts": (_words, 1),
    "searchEverything": (_search, 1),
    "getCollection": (_shelf("collection"), 1),
    "listCollectionProducts": (_shelf("collection"), 1),
    "getCategory": (_shelf("category"), 1),
    "listCategoryProducts": (_shelf("category"), 1),
    "listVariantsByColors": (lambda _: {"query": {"colors[]": ["2f5d3a"], "colors": ["2f5d3a"]}}, 1),
    "resolve": (_place_of_product, 1),
    "askForReturn": (_sold_out, FRESH),
    "getCart": (_cart, 1),
    "addCartItem": (_cart, FRESH),
    "setCartItem": (_cart, FRESH),
    "describeCart": (_cart_code, FRESH),
    "removeCartItem": (_cart, FRESH),
    "putCartCoupon": (_cart_code, FRESH),
    "removeCartCoupon": (_cart_code, FRESH),
    "getEarnedGift": (lambda scene: {"query": {"price": scene.demo("gift_price")}}, 1),
    "openCheckout": (_cart, FRESH),
    "getCheckout": (_customer, 1),
    "setCheckoutCustomer": (_customer, FRESH),
    "setCheckoutShipping": (_shipping, FRESH),
    "putCheckoutCoupon": (_code, FRESH),
    "removeCheckoutCoupon": (_code, FRESH),
    "putCheckoutGiftCard": (_gift_card, FRESH),
    "removeCheckoutGiftCard": (_gift_card, FRESH),
    "useStoreCredit": (_credit, FRESH),
    "readGiftCard": (lambda scene: {"body": {"code": scene.demo("gift_card")}}, 1),
    "getStoreCredit": (_customer_call, 1),
    "payCheckout": (_pay, FRESH),
    "startPayment": (_pay, FRESH),
    "confirmPayment": (_confirm, FRESH),
    "getOrder": (_order, 1),
    "trackOrder": (_order, 1),
    "cancelOrder": (_cancellation, 2),
    "keepOrder": (_order, 1),
    "findOrder": (_order, 1),
    "openOrder": (_link, 2),
    "logInWithGoogle": (_provider_token("google_token"), 1),
    "logInWithFacebook": (_provider_token("facebook_token"), 1),
    "beginProviderLogin": (_redirect, 1),
    "endProviderLogin": (_redirect, 1),
    "finishProviderLogin": (_handed_over, FRESH),
    "subscribe": (_subscribe, FRESH),
    "confirmSubscription": (_confirmation, 1),
    "getSubscription": (_subscription, 1),
    "changeSubscription": (_subscription, 1),
    "unsubscribe": (_subscription, 1),
    "showSubscription": (_subscription, 1),
    "signUp": (_sign_up, FRESH),
    "logIn": (_customer_call, 1),
    "logOut": (_customer_call, 2),
    "getCustomer": (_customer_call, 1),
    "changeCustomer": (_customer_call, 2),
    "forgotPassword": (_customer_call, 1),
    "checkResetToken": (_new_password, 1),
    "resetPassword": (_new_password, 2),
    "logInByResetToken": (_new_password, 2),
    "logInByLink": (_login_link, 2),
    "askForLoginCode": (_customer_call, 1),
    "logInByCode": (_login_code, 2),
    "beginPasskey": (_customer_call, 1),
    "addPasskey": (_new_passkey, FRESH),
    "listPasskeys": (_passkey, 1),
    "removePasskey": (_passkey, 2),
    "beginPasskeyLogin": (lambda _: {}, 1),
    "logInByPasskey": (_passkey_login, FRESH),
    "verifyEmail": (_verify, 2),
    "listSessions": (_customer_call, 1),
    "endSessions": (_customer_call, 2),
    "endSession": (_session, 2),
    "mergeCart": (_merge, FRESH),
    "listPaymentMethods": (_payment_method, 1),
    "removePaymentMethod": (_payment_method, 2),
    "listAddresses": (_address, 1),
    "getAddress": (_address, 1),
    "addAddress": (_address, 1),
    "setAddress": (_address, 1),
    "removeAddress": (_address, FRESH),
    "listOrders": (_customer_call, 1),
    "getReferral": (_customer_call, 1),
    "askForWithdrawal": (_withdrawal, 1),
    "exportAccount": (_customer_call, 1),
    "closeAccount": (_customer_call, 2),
    "takePaymentEvent": (lambda _: {"path": {"service": "test"}}, 1),
}


def _real(name: str, *, consumed: bool) -> Real:
    """What is there for a call; something that nobody has used yet where the call will use it up."""
    make, fresh = REAL[name]
    kept = _kept.setdefault(name, [])
    if not kept or (consumed and len(kept) < fresh):
        try:
            kept.append(make(Scene(_shop, SETUPS)))
        except SetupError:  # a shelf is sold out by now: what was made before must do
            if not kept:
                raise
    return kept[-1]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Put real values in the place of generated ones where the case is meant to be accepted."""
    name = case.operation.definition.raw.get("operationId")
    if name not in REAL or case.meta is None:
        return
    whole = case.meta.generation.mode.is_positive
    real = _real(name, consumed=whole)
    for place, location, values in (
        ("path", ParameterLocation.PATH, case.path_parameters),
        ("query", ParameterLocation.QUERY, case.query),
        ("headers", ParameterLocation.HEADER, case.headers),
        ("body", ParameterLocation.BODY, case.body),
    ):
        if place not in real or not isinstance(values, MutableMapping):
            continue
        part = case.meta.components.get(location)
        if part is not None and part.mode.is_positive and (whole or place == "path"):
            # A header may be added; elsewhere only what the case has anyway gets another value.
            added = real[place] if place == "headers" else {}
            values.update({key: value for key, value in real[place].items() if key in values} | added)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    if case.method.upper() == case.operation.method.upper():  # others only look for their 405
        _answers[case.operation.label, response.status_code] += 1


@atexit.register
def _write() -> None:
    table: dict[str, dict[str, int]] = {}
    for (label, status), times in sorted(_answers.items()):
        table.setdefault(label, {})[str(status)] = times
    Path(os.environ["SPEC_TALLY"]).write_text(json.dumps(table), "utf-8")
