"""Writes app/api/examples.json, the answers that the document shows: made by a demo shop, cut short.

    python -m tests.contract.examples

To be run again when an answer has got another shape; a test of the document says so.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.contract.scene import MAIL_PATIENCE, every
from tests.contract.shop import ROOT, started_shop

API = "/storefront/v1"
FILE = ROOT / "app" / "api" / "examples.json"
SECRET = "dJ0s3Vf8cXw1qk2uTz7mPb5nRy9aLh4eGo6iCx3vBt8"
MOST_ENTRIES = 2
MOST_LETTERS = 160
ADDRESS = {
    "first_name": "Ada",
    "last_name": "Berg",
    "address_one": "12 Mill Lane",
    "city": "Portland",
    "zip": "97201",
    "country": "United States",
    "region": "Oregon",
    "phone": "+1 503 555 0123",
}
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
GIFT_CARD = "TARN-AND-HEARTH-GIFT"  # of fixtures/gift_cards.toml
LOGIN = {"email": "ada@example.com", "password": "correct horse battery"}


class Shopper:
    """Somebody who walks through the shop; every answer is one of the document's examples."""

    def __init__(self, client: httpx.Client, made: dict[str, Any]) -> None:
        self.client = client
        self.made = made

    def ask(self, name: str, method: str, path: str, **sent: Any) -> Any:
        answer = self.client.request(method, API + path, **sent).raise_for_status()
        found = answer.json() if answer.content else None
        if name and found is not None:
            self.made[name] = short(found)
        return found


def short(value: Any, name: str = "") -> Any:
    """Long lists and texts cut, and no real secret: the shop is gone, but secrets in files look alarming."""
    if isinstance(value, dict):
        return {key: short(child, key) for key, child in value.items()}
    if isinstance(value, list):
        return [short(child) for child in value[:MOST_ENTRIES]]
    if isinstance(value, str):
        if name in ("auth_key", "checkout_token", "invite_token"):
            return SECRET if value else value
        return value if len(value) <= MOST_LETTERS else re.sub(r"<[^>]*$", "", value[:MOST_LETTERS]) + "…"
    return value


def browse(shopper: Shopper) -> int:
    """The catalogue; the id of a variant to buy."""
    ask = shopper.ask
    product = ask("listProducts", "GET", "/products?offset=1")["items"][0]
    ask("getProduct", "GET", f"/products/{product['handle']}")
    ask("listProductTypes", "GET", "/products/types")
    ask("listVariants", "GET", "/products/variants?offset=1")
    found = ask("searchProducts", "GET", "/products/search?q=tent&offset=20")["items"]
    ask("searchEverything", "GET", "/search?search=tent&offset=1")
    variant: int = next(one["id"] for one in found if one["requires_shipping"] and not one["out_of_stock"])
    ask("getVariant", "GET", f"/products/variants/{variant}?expand=product,options")
    ask("listVariantsByIds", "GET", f"/products/variants/by-ids?product_ids[]={variant}")
    ask("listVariantsByColors", "GET", "/products/variants/by-colors?colors[]=1f5f4a")
    for kind, many in (("Collection", "collections"), ("Category", "categories")):
        handle = ask(f"list{many.capitalize()}", "GET", f"/{many}?offset=1")["items"][0]["handle"]
        at = f"/collections/{handle}" if kind == "Collection" else f"/category/{handle}"
        ask(f"get{kind}", "GET", at)
        ask(f"list{kind}Products", "GET", f"{at}/products?offset=1")
    ask("resolve", "GET", f"/resolve?first=products&second={product['handle']}")
    ask("getOptions", "GET", "/options")
    ask("getPasswordSetting", "GET", "/settings/customer-password")
    ask("getHeaders", "GET", "/headers")
    ask("askForReturn", "POST", "/products/back-in-stock", json={"email": LOGIN["email"], "product_ids": [1]})
    return variant


def buy(shopper: Shopper, variant: int, token: str, **wishes: Any) -> str:
    """From an empty cart to a payment by one of the test service's tokens; the checkout's token."""
    ask = shopper.ask
    cart = ask("addCartItem", "POST", "/cart/items", json={"product_id": variant, "quantity": 1})["cart_uuid"]
    line = {"product_id": variant, "quantity": 2, "cart_uuid": cart}
    ask("setCartItem", "PUT", "/cart/items", json=line)
    ask("getCart", "GET", f"/cart?cart_uuid={cart}")
    ask("getEarnedGift", "GET", "/discounts/gift?price=50000")
    ask("putCartCoupon", "POST", "/cart/coupon", json={"cart_uuid": cart, "code": "WELCOME10"})
    ask("removeCartCoupon", "DELETE", f"/cart/coupon?cart_uuid={cart}")
    checkout = ask("openCheckout", "POST", "/checkout", json={"cart_uuid": cart})["checkout_token"]
    at = f"/checkout/{checkout}"
    sent = {"email": LOGIN["email"], "shipping_address": ADDRESS}
    shown = ask("setCheckoutCustomer", "PUT", f"{at}/customer", json=sent)
    if shown["shipping_options"]:
        option = {"shipping_option_id": shown["shipping_options"][0]["id"]}
        shown = ask("setCheckoutShipping", "PUT", f"{at}/shipping", json=option)
    ask("getCheckout", "GET", at)
    if token:
        paid = {"payment_type": "test", "payment_token": token, "amount": shown["totals"]["total"], **wishes}
        ask("payCheckout", "POST", f"{at}/payment", json=paid)
    else:
        ask("startPayment", "POST", f"{at}/payment/test", json={})
    return str(checkout)


def join(shopper: Shopper) -> None:
    """An account and what belongs to it."""
    ask = shopper.ask
    made = ask("signUp", "POST", "/customer/signup", json=LOGIN | {"username": "Ada Berg"})
    shopper.client.headers["Authorization"] = f"Bearer {made['auth_key']}"
    ask("logIn", "POST", "/customer/login", json=LOGIN)
    made = ask("", "POST", "/customer/login", json=LOGIN)
    shopper.client.headers["Authorization"] = f"Bearer {made['auth_key']}"
    ask("changeCustomer", "PATCH", "/customer", json={"firstname": "Ada", "lastname": "Berg"})
    ask("addAddress", "POST", "/customer/addresses", json=ADDRESS)
    ask("listAddresses", "GET", "/customer/addresses")
    ask("getCustomer", "GET", "/customer")
    ask("listSessions", "GET", "/customer/sessions")
    ask("listPasskeys", "GET", "/customer/passkeys")
    ask("getReferral", "GET", "/customer/referral")
    ask("getStoreCredit", "GET", "/customer/store-credit")
    ask("readGiftCard", "POST", "/gift-cards/balance", json={"code": GIFT_CARD})
    ask("mergeCart", "POST", "/cart/merge", json={})


def ship(number: str, data: Path) -> None:
    """As the merchant does it, beside the shop that runs on this data folder."""
    said = ["--carrier", "Swift Post", "--tracking", "SP10045", "--url", "https://parcels.example/SP10045"]
    subprocess.run(
        [sys.executable, "-m", "app.cli", "order", "ship", number.removeprefix("#"), *said],
        cwd=ROOT,
        env=os.environ | {"STOREFRONT_DATA_DIR": str(data)},
        check=True,
        capture_output=True,
    )


def walk(client: httpx.Client, data: Path) -> Iterator[tuple[str, Any]]:
    made: dict[str, Any] = {"health": client.get("/health").json(), "ready": client.get("/ready").json()}
    shopper = Shopper(client, made)
    variant = browse(shopper)
    buy(shopper, variant, "")
    buy(shopper, variant, "late")
    join(shopper)
    buy(shopper, variant, "ok", save_payment_method=True)
    for _ in every(MAIL_PATIENCE):
        if shopper.ask("listPaymentMethods", "GET", "/customer/payment-methods")["items"]:
            break
    order = shopper.ask("listOrders", "GET", "/orders")["items"][0]
    shopper.ask("getOrder", "GET", f"/orders/{order['id']}")
    shopper.ask(
        "cancelOrder",
        "POST",
        f"/orders/{order['id']}/cancellation",
        json={"reason": "I changed my mind", "note": ""},
    )
    shopper.ask("", "DELETE", f"/orders/{order['id']}/cancellation")
    ship(order["number"], data)
    shopper.ask("trackOrder", "GET", f"/orders/{order['id']}/tracking")
    shopper.ask("exportAccount", "GET", "/customer/export")
    shopper.ask("listBestSelling", "GET", "/products/best-selling")
    shopper.ask("listPopularQueries", "GET", "/search/popular")
    shopper.ask("subscribe", "POST", "/subscriptions", json={"email": "grace@example.com"})
    shopper.ask("beginPasskeyLogin", "POST", "/customer/login/passkey/options", json={})
    shopper.ask("beginPasskey", "POST", "/customer/passkeys/options", json={})
    shopper.ask("logOut", "POST", "/customer/logout")
    made["checkResetToken"] = {"valid": True}  # of a token that stands in a mail only
    yield from sorted(made.items())


def main() -> None:
    with (
        started_shop() as (base_url, data),
        httpx.Client(base_url=base_url, timeout=30, headers=BROWSER) as client,
    ):
        text = msgspec.json.format(msgspec.json.encode(dict(walk(client, data))), indent=1).decode()
    # The port was any free one.
    Path(FILE).write_text(text.replace(base_url.removeprefix("http://"), "localhost:8000") + "\n", "utf-8")


if __name__ == "__main__":
    main()
