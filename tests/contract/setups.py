"""The named things that rows stand on, each made through the shop's own API: a cart, a checkout, an order."""

import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.contract.scene import MAIL_PATIENCE, Scene, SetupError, describe, every, local
from tests.contract.table import Request
from tests.standins.authenticator import Authenticator

SECRET = r"([A-Za-z0-9_-]{22,})"
ORDER_LINK = rf"uuid={SECRET}"
PASSWORD = "walnut-harbour-42-lantern"
NEW_PASSWORD = "copper-meadow-17-anchor"
ADDRESS = {
    "first_name": "Ada",
    "last_name": "Berg",
    "address_one": "350 Fifth Avenue",
    "city": "New York",
    "zip": "10118",
    "country": "United States",
    "region": "New York",
    "phone": "+12125550123",
}


def name(scene: Scene) -> dict[str, Any]:
    """Words used once: a mail address, a text and an idempotency key that no other row knows."""
    word = secrets.token_hex(6)
    return {"email": f"contract-{word}@example.com", "text": f"contract {word}", "word": word}


def secret(scene: Scene) -> dict[str, Any]:
    """Passwords and an address that many rows send."""
    return {"password": PASSWORD, "new_password": NEW_PASSWORD, "address": dict(ADDRESS)}


def catalogue(scene: Scene) -> dict[str, Any]:
    """Found once by walking the lists: something to buy, something else, something scarce, and their product."""
    if "catalogue" not in scene.shop.found:
        variants = _walk(scene, "/products/variants")
        buyable = [v for v in variants if not v["out_of_stock"] and v["price"] > 0 and v["requires_shipping"]]
        buyable.sort(key=lambda variant: -(variant["inventory_quantity"] or 0))
        scarce = [
            v for v in buyable if v["inventory_policy"] == "deny" and 0 < (v["inventory_quantity"] or 0) < 900
        ]
        if len(buyable) < 2 or not scarce:
            raise SetupError("the shop needs two variants for sale and one with a limited stock")
        other = next((v for v in buyable if v["product_id"] != buyable[0]["product_id"]), buyable[1])
        products = {product["id"]: product for product in _walk(scene, "/products")}
        product = products.get(buyable[0]["product_id"])
        if product is None:
            raise SetupError("the product of a listed variant is in no product list")
        word = max(product["title"].split(), key=len)
        scene.shop.found["catalogue"] = {
            "variant": buyable[0],
            "other": other,
            "scarce": scarce[-1],
            "product": product,
            "word": word,
        }
    found: dict[str, Any] = scene.shop.found["catalogue"]
    return found


def cart(scene: Scene) -> dict[str, Any]:
    """A guest's new cart with two of one variant."""
    variant = scene.use("catalogue")["variant"]
    line = scene.ask("POST", "/cart/items", body={"product_id": variant["id"], "quantity": 2})
    return {"uuid": line["cart_uuid"], "line": line}


def checkout(scene: Scene) -> dict[str, Any]:
    answer = scene.ask("POST", "/checkout", body={"cart_uuid": scene.use("cart")["uuid"]})
    return {"token": answer["checkout_token"], "answer": answer}


def addressed(scene: Scene) -> dict[str, Any]:
    """A checkout with a mail address and a shipping address, and the options that reach it."""
    token, email = scene.use("checkout")["token"], scene.use("name")["email"]
    body = {"email": email, "shipping_address": dict(ADDRESS)}
    answer = scene.ask("PUT", f"/checkout/{token}/customer", body=body)
    if not answer["shipping_options"]:
        raise SetupError("no shipping option reaches an address in New York")
    return {"token": token, "email": email, "option": answer["shipping_options"][0], "answer": answer}


def priced(scene: Scene) -> dict[str, Any]:
    """A checkout that only needs to be paid."""
    made = scene.use("addressed")
    body = {"shipping_option_id": made["option"]["id"]}
    answer = scene.ask("PUT", f"/checkout/{made['token']}/shipping", body=body)
    return made | {"amount": answer["totals"]["total"], "answer": answer}


def order(scene: Scene) -> dict[str, Any]:
    """A guest's order, paid by the `manual` service."""
    return place_order(scene, scene.use("priced"), "manual", "")


def paid_order(scene: Scene) -> dict[str, Any]:
    """A guest's order, paid at once by the `test` service."""
    return place_order(scene, scene.use("priced"), "test", "ok")


def place_order(
    scene: Scene, made: dict[str, Any], service: str, token: str, caller: str = "", **wishes: Any
) -> dict[str, Any]:
    body = {"payment_type": service, "payment_token": token or service, "amount": made["amount"], **wishes}
    scene.ask("POST", f"/checkout/{made['token']}/payment", status=204, body=body, caller=caller)
    return read_order(scene, made, caller)


def read_order(scene: Scene, made: dict[str, Any], caller: str = "") -> dict[str, Any]:
    done = scene.ask("GET", f"/checkout/{made['token']}", caller=caller)
    if done["state"] != "completed" or not done["order"]:
        raise SetupError(f"the checkout is {done['state']} after paying")
    return done["order"] | {"token": made["token"], "email": made["email"], "line": done["items"][0]}


def oauth_back(scene: Scene) -> dict[str, Any]:
    """What the browser comes back with from the login provider, and its mark from the beginning."""
    begun = scene.send(
        Request(method="GET", path="/customer/oauth/{provider}", params={"provider": "$demo.oauth_provider"})
    )
    if begun.status_code != 302:
        raise SetupError(f"GET /customer/oauth/… answers {describe(begun)}, wanted 302")
    page = httpx.get(begun.headers["location"], timeout=10)
    back = dict(parse_qsl(urlsplit(page.headers["location"]).query))
    return back | {"cookie": begun.headers["set-cookie"].partition(";")[0]}


def oauth_code(scene: Scene) -> dict[str, Any]:
    """The code that the shop's page is given at the end of a login by redirect."""
    back = scene.use("oauth_back")
    answer = scene.send(
        Request(
            method="GET",
            path="/customer/oauth/{provider}/callback",
            params={"provider": "$demo.oauth_provider"},
            query={"code": back["code"], "state": back["state"]},
            headers={"Cookie": back["cookie"]},
        )
    )
    told = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    if "code" not in told:
        raise SetupError(f"the callback leads back with {told}")
    told["cookie"] = back["cookie"]
    return told


def second_step(scene: Scene) -> dict[str, Any]:
    """A payment at the `test` service whose second step the shopper has taken; only confirming is left."""
    made = scene.use("priced")
    started = scene.ask("POST", f"/checkout/{made['token']}/payment/test", body={})
    response = scene.send(Request(method="POST", path=local(started["next_step_url"])), base="")
    if response.status_code >= 400:
        raise SetupError(f"POST next_step_url answers {describe(response)}")
    return made | {"started": started}


def late(scene: Scene) -> dict[str, Any]:
    """A payment whose outcome comes later, through the webhook of the `test` service."""
    made = scene.use("priced")
    body = {"payment_type": "test", "payment_token": "late", "amount": made["amount"]}
    answer = scene.ask("POST", f"/checkout/{made['token']}/payment", status=202, body=body)
    return made | {"answer": answer}


def order_link(scene: Scene) -> dict[str, Any]:
    """The link that B42 mails: the order and the secret that opens it."""
    made = scene.use("order")
    scene.ask("POST", "/orders/find", status=204, body={"order": made["number"], "email": made["email"]})
    return made | {"uuid": scene.use("found_link")["uuid"]}


def found_link(scene: Scene) -> dict[str, Any]:
    """The secret in the mail that a look-up of the order caused: it comes beside the confirmation."""
    return {"uuid": scene.mailed(scene.use("order")["email"], ORDER_LINK, at_least=2)}


def login_link(scene: Scene) -> dict[str, Any]:
    """A mailed link that logs the customer in: the one of an order in the account."""
    made = scene.use("customer_order")
    email = scene.use("customer")["email"]
    scene.ask("POST", "/orders/find", status=204, body={"order": made["number"], "email": email})
    return {"uuid": scene.mailed(email, ORDER_LINK, at_least=2), "email": email}


def customer(scene: Scene) -> dict[str, Any]:
    """A new customer, signed up with a password and logged in by bearer."""
    body = {"username": "Ada Berg", "email": scene.use("name")["email"], "password": PASSWORD}
    return scene.ask("POST", "/customer/signup", body=body) | {"password": PASSWORD}


def other_customer(scene: Scene) -> dict[str, Any]:
    email = f"other-{secrets.token_hex(6)}@example.com"
    body = {"username": "Eve Lind", "email": email, "password": PASSWORD}
    return scene.ask("POST", "/customer/signup", body=body)


def address(scene: Scene) -> dict[str, Any]:
    return scene.ask("POST", "/customer/addresses", body=dict(ADDRESS), caller=_customer(scene))


def customer_cart(scene: Scene) -> dict[str, Any]:
    """The customer's own cart, with a variant that the guest cart hasn't."""
    other = scene.use("catalogue")["other"]
    body = {"product_id": other["id"], "quantity": 1}
    return scene.ask("POST", "/cart/items", body=body, caller=_customer(scene))


def customer_checkout(scene: Scene) -> dict[str, Any]:
    """The checkout of the customer's cart."""
    who = _customer(scene)
    line = scene.use("customer_cart")
    opened = scene.ask("POST", "/checkout", body={"cart_uuid": line["cart_uuid"]}, caller=who)
    return {"token": opened["checkout_token"], "email": scene.use(who)["email"]}


def customer_order(scene: Scene) -> dict[str, Any]:
    """An order in the customer's account, paid by `test`."""
    return _buy_as_customer(scene)


def payment_method(scene: Scene) -> dict[str, Any]:
    """What a customer has saved by paying with it; the worker writes it down a moment later."""
    _buy_as_customer(scene, save_payment_method=True)
    for _ in every(MAIL_PATIENCE):
        if found := scene.ask("GET", "/customer/payment-methods", caller="customer")["items"]:
            return found[0]  # type: ignore[no-any-return]  # JSON
    raise SetupError(f"no means of payment was saved within {MAIL_PATIENCE:.0f} s")


def _buy_as_customer(scene: Scene, **wishes: Any) -> dict[str, Any]:
    who = _customer(scene)
    made = scene.use("customer_checkout")
    path = f"/checkout/{made['token']}"
    body = {"email": made["email"], "shipping_address": dict(ADDRESS)}
    reached = scene.ask("PUT", f"{path}/customer", body=body, caller=who)
    option = {"shipping_option_id": reached["shipping_options"][0]["id"]}
    priced_now = scene.ask("PUT", f"{path}/shipping", body=option, caller=who)
    return place_order(scene, made | {"amount": priced_now["totals"]["total"]}, "test", "ok", who, **wishes)


def rewarded(scene: Scene) -> dict[str, Any]:
    """A customer with a referral balance: somebody signed up by their invitation and paid an order."""
    email = f"inviter-{secrets.token_hex(6)}@example.com"
    body = {"username": "Ines Moor", "email": email, "password": PASSWORD}
    made: dict[str, Any] = scene.ask("POST", "/customer/signup", body=body)
    scene.made["rewarded"] = made
    token = scene.ask("GET", "/customer/referral", caller="rewarded")["invite_token"]
    friend = {"username": "Ada Berg", "email": scene.use("name")["email"], "password": PASSWORD}
    scene.made["customer"] = scene.ask("POST", "/customer/signup", body=friend | {"invited_by_token": token})
    scene.use("customer_order")
    for _ in every(MAIL_PATIENCE):
        found = scene.ask("GET", "/customer/referral", caller="rewarded")
        if found["balance"]:
            return made | {"balance": found["balance"]}
    raise SetupError(f"an invited customer's paid order earned nothing within {MAIL_PATIENCE:.0f} s")


def cancellation(scene: Scene) -> dict[str, Any]:
    """The customer's order with a wish to cancel that the shop has not decided."""
    made = scene.use("customer_order")
    reason = scene.use("options")["reason"]
    body = {"note": "Ordered twice", "reason": reason}
    return scene.ask("POST", f"/orders/{made['id']}/cancellation", body=body, caller="customer")


def reset_token(scene: Scene) -> dict[str, Any]:
    email = scene.use("customer")["email"]
    scene.ask("POST", "/customer/password/forgot", status=204, body={"email": email})
    return {"token": scene.use("found_reset")["token"], "email": email}


def found_reset(scene: Scene) -> dict[str, Any]:
    """The token in the mail that asking for a new password caused: it comes beside the welcome."""
    email = scene.use("customer")["email"]
    return {"token": scene.mailed(email, rf"(?:reset|password)\S*?[=/]{SECRET}", at_least=2)}


def verify_token(scene: Scene) -> dict[str, Any]:
    email = scene.use("customer")["email"]
    return {"token": scene.mailed(email, rf"verify\S*?[=/]{SECRET}"), "email": email}


def login_code(scene: Scene) -> dict[str, Any]:
    email = scene.use("customer")["email"]
    scene.ask("POST", "/customer/login/code", status=204, body={"email": email})
    return {"code": scene.use("found_code")["code"], "email": email}


def found_code(scene: Scene) -> dict[str, Any]:
    """The code in the mail that asking for it caused: it comes beside the welcome."""
    return {"code": scene.mailed(scene.use("customer")["email"], r"(?m)^\s*(\d{6})\s*$", at_least=2)}


def passkey_answer(scene: Scene) -> dict[str, Any]:
    """What a browser makes of the options for a new passkey, and the device that keeps it."""
    options = scene.ask("POST", "/customer/passkeys/options", body={}, caller=_customer(scene))
    device = Authenticator()
    origin = _page_of(scene, options["rp"]["id"])
    return {"device": device, "credential": device.create(options, origin=origin)}


def passkey(scene: Scene) -> dict[str, Any]:
    made = scene.use("passkey_answer")
    body = {"credential": made["credential"]}
    return scene.ask("POST", "/customer/passkeys", status=201, body=body, caller="customer")


def passkey_login(scene: Scene) -> dict[str, Any]:
    """What a browser answers to the challenge of a login, with the customer's passkey."""
    scene.use("passkey")
    options = scene.ask("POST", "/customer/login/passkey/options", body={})
    origin = _page_of(scene, options["rpId"])
    credential = scene.use("passkey_answer")["device"].get(options, origin=origin)
    return {"login_id": options["login_id"], "credential": credential}


def _page_of(scene: Scene, domain: str) -> str:
    """The shop's own page, under the name that passkeys are for."""
    return str(scene.shop.client.base_url.copy_with(host=domain)).rstrip("/")


def subscription(scene: Scene) -> dict[str, Any]:
    return scene.ask("POST", "/subscriptions", body={"email": scene.use("name")["email"]})


def subscription_token(scene: Scene) -> dict[str, Any]:
    email = scene.use("subscription")["email"]
    return {"token": scene.mailed(email, rf"confirm\S*?[=/]{SECRET}"), "email": email}


def application(scene: Scene) -> dict[str, Any]:
    """A job application of which the first step is sent."""
    body = {"name": "Ada Berg", "email": scene.use("name")["email"], "step": "1"}
    return scene.ask("POST", "/careers", body=body)


def options(scene: Scene) -> dict[str, Any]:
    """The shop's own words: the first cancellation reason and contact subject."""
    answer = scene.ask("GET", "/options")
    reason = answer["order_cancellation_reasons"][0]
    # A reason is a word, or an object that carries its word.
    word = reason if isinstance(reason, str) else reason.get("code") or reason.get("name")
    return {"reason": word, "subject": answer["contact_subjects"][0], "all": answer}


def session(scene: Scene) -> dict[str, Any]:
    """The customer's sessions, of which one is another device's."""
    found = scene.use("customer")
    scene.ask("POST", "/customer/login", body={"email": found["email"], "password": PASSWORD})
    listed = scene.ask("GET", "/customer/sessions", caller="customer")
    items = listed["items"] if isinstance(listed, dict) else listed
    return next(item for item in items if not item["current"])


def collection(scene: Scene) -> dict[str, Any]:
    return _first(scene, "/collections")


def category(scene: Scene) -> dict[str, Any]:
    return _first(scene, "/categories")


def blog_category(scene: Scene) -> dict[str, Any]:
    return _first(scene, "/blog/categories")


def post(scene: Scene) -> dict[str, Any]:
    return _first(scene, "/blog/posts")


def page(scene: Scene) -> dict[str, Any]:
    return _first(scene, "/pages")


def reviewed(scene: Scene) -> dict[str, Any]:
    """A variant that has a review."""
    for variant in _walk(scene, "/products/variants", order_by="review_rating", order_type="desc")[:20]:
        detail = scene.ask("GET", f"/products/variants/{variant['id']}")
        if detail["reviews_info"]["count"]:
            found: dict[str, Any] = detail
            return found
    raise SetupError("no variant has a review")


def searched(scene: Scene) -> dict[str, Any]:
    """A query with results, asked three times."""
    word = scene.use("catalogue")["word"]
    for _ in range(3):
        scene.ask("GET", "/search", query={"search": word})
    return {"word": word}


def lead(scene: Scene) -> dict[str, Any]:
    email = scene.use("name")["email"]
    data = {
        "user_name": "Ada Berg",
        "user_email": email,
        "user_phone": "+4712345678",
        "country_of_residence": "Norway",
        "country_of_birth": "Norway",
        "source_campaign": "spring",
        "year_of_birth": "1990",
    }
    body = {"entity_type": "Leads", "crm": "vtiger", "data": data}
    return scene.ask("POST", "/crm/leads", body=body, caller="staff") | {"email": email}


def times(scene: Scene) -> dict[str, Any]:
    """A span for reports that holds everything this run does."""
    return {"from": 1_600_000_000, "to": 4_000_000_000}


def _customer(scene: Scene) -> str:
    scene.use("customer")
    return "customer"


def _first(scene: Scene, path: str) -> dict[str, Any]:
    answer = scene.ask("GET", path)
    if not answer["items"]:
        raise SetupError(f"{path} is empty")
    first: dict[str, Any] = answer["items"][0]
    return first


def _walk(scene: Scene, path: str, **query: str) -> list[dict[str, Any]]:
    """Every item of a list, page by page; 20 pages are more than the demo shop has."""
    items: list[dict[str, Any]] = []
    for number in range(1, 21):
        answer = scene.ask("GET", path, query={"offset": 100, "page": number, **query})
        items += answer["items"]
        if number >= answer["_meta"]["pageCount"]:
            break
    return items


SETUPS: dict[str, Callable[[Scene], Any]] = {
    function.__name__: function
    for function in (
        name, secret, catalogue, cart, checkout, addressed, priced, order, paid_order, second_step, late, oauth_back, oauth_code,
        order_link, found_link, login_link, customer, other_customer, address, customer_cart, customer_checkout, customer_order, payment_method, rewarded, cancellation, reset_token, found_reset,
        verify_token, login_code, found_code, passkey_answer, passkey, passkey_login, subscription, subscription_token, application, options, session, collection,
        category, blog_category, post, page, reviewed, searched, lead, times,
    )
}  # fmt: skip
