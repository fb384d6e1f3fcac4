"""What each mail looks like: every template with values as its job gives them, for eyes and for tests."""

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from app.domain.orders.queries import OrderLineView, OrderView, ParcelView, PaymentView
from app.domain.promotions.quotes import Applied
from app.domain.stores.mail import Mail, MailWriter, Unsubscribe
from app.domain.stores.queries import StoreConfig

_AT: Final = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
_SECRET: Final = "dJ0s3Vf8cXw1qk2uTz7mPb5nRy9aLh4eGo6iCx3vBt8"  # noqa: S105 - opens nothing
_SHOP: Final = "https://shop.example/#"
_HOUR, _TEN_MINUTES, _TWO_DAYS = 3_600, 600, 172_800
_WHEN: Final = {"at": _AT, "time_zone": "Europe/Berlin"}


def _line(line_id: int, title: str, variant: str, quantity: int, price: int) -> OrderLineView:
    """A line as orders keep it: its title has the variant's."""
    return OrderLineView(
        id=line_id,
        variant_id=line_id,
        product_id=line_id,
        title=title if variant == "Default Title" else f"{title} - {variant}",
        variant_title=variant,
        sku=None,
        image=None,
        quantity=quantity,
        price=price,
        line_price=quantity * price,
        discount=0,
        tax=0,
        requires_shipping=True,
        discounts=(),
        gift=False,
    )


def _paid(service: str, amount: int, *, last_four: str | None = None) -> PaymentView:
    return PaymentView(
        id=1,
        service=service,
        state="captured",
        amount=amount,
        captured=amount,
        refunded=0,
        last_four=last_four,
    )


ORDER: Final = OrderView(
    id=1,
    store_id=1,
    checkout_token=_SECRET,
    name="#1001",
    customer_id=None,
    email="ada@example.com",
    status="open",
    payment_status="paid",
    fulfilment_status="unfulfilled",
    currency="USD",
    tax_included=False,
    items_total=15_200,
    discount_total=1_520,
    shipping_total=690,
    tax_total=1_094,
    total=15_464,
    shipping_address={
        "first_name": "Ada",
        "last_name": "Berg",
        "address_one": "12 Mill Lane",
        "zip": "97201",
        "city": "Portland",
        "region": "Oregon",
        "country": "United States",
    },
    billing_address=None,
    shipping_option={"id": 1, "title": "Standard", "price": 690, "pickup": False, "location": None},
    coupon_code="SPRING",
    discounts=(
        Applied(
            promotion_id=1,
            coupon_id=1,
            code="SPRING",
            title="Spring sale",
            kind="percent",
            value=1_000,
            amount=1_520,
            limited=False,
        ),
    ),
    created_at=_AT,
    placed_at=_AT,
    paid_at=_AT,
    lines=(
        _line(1, "Fellside wool blanket", "Moss", 1, 11_800),
        _line(2, "Enamel camp mug", "Cream", 2, 1_250),
        _line(3, "Beeswax pillar candle", "Default Title", 1, 900),
    ),
    payments=(
        _paid("gift_card", 5_000, last_four="7KQ2"),
        _paid("store_credit", 2_000),
        _paid("test", 8_464),
    ),
    events=(),
)

# Fetched in the shop and paid there.
_FETCHED: Final = msgspec.structs.replace(
    ORDER,
    payment_status="pending",
    paid_at=None,
    shipping_total=0,
    total=14_774,
    shipping_address=None,
    shipping_option={
        "id": 2,
        "title": "Mill Lane shop",
        "price": 0,
        "pickup": True,
        "location": "12 Mill Lane, Portland; Monday to Saturday, 10 to 18",
    },
    payments=(PaymentView(id=1, service="manual", state="pending", amount=14_774, captured=0, refunded=0),),
)

_PARCEL: Final = ParcelView(
    id=1,
    carrier="Alpine Post",
    number="AP 314 159 265",
    url="https://carrier.example/track/314159265",
    status="shipped",
    lines=(),
    events=(),
)

EXAMPLES: Final[MappingProxyType[str, dict[str, Any]]] = MappingProxyType(
    {
        "verify_email": {"name": "Ada", "link": f"{_SHOP}/verify?token={_SECRET}", "seconds": _TWO_DAYS},
        "verify_new_email": {"name": "Ada", "link": f"{_SHOP}/verify?token={_SECRET}", "seconds": _TWO_DAYS},
        "set_password": {"name": "Ada", "link": f"{_SHOP}/password?token={_SECRET}", "seconds": _HOUR},
        "reset_password": {"name": "Ada", "link": f"{_SHOP}/password?token={_SECRET}", "seconds": _HOUR},
        "password_changed": {"name": "Ada", "link": f"{_SHOP}/password/forgot", **_WHEN},
        "login_link": {
            "name": "Ada",
            "link": f"{_SHOP}/login?uuid={_SECRET}",
            "seconds": _HOUR,
            "ends_password": False,
        },
        "login_code": {
            "name": "Ada",
            "code": "314159",
            "link": f"{_SHOP}/login?uuid={_SECRET}",
            "seconds": _TEN_MINUTES,
            "ends_password": True,
        },
        "new_device": {
            "name": "Ada",
            "device": "Firefox, Linux",
            "address": "203.0.113.7",
            "link": f"{_SHOP}/password/forgot",
            **_WHEN,
        },
        "passkey_added": {
            "name": "Ada",
            "passkey": "Firefox, Linux",
            "address": "203.0.113.7",
            "link": f"{_SHOP}/account/passkeys",
            **_WHEN,
        },
        "email_changed": {"name": "Ada", "email": "a…@example.org", **_WHEN},
        "account_closed": {"name": "Ada"},
        "newsletter_confirm": {"link": f"{_SHOP}/newsletter/confirm?token={_SECRET}", "seconds": _TWO_DAYS},
        "newsletter_ended": {"link": f"{_SHOP}/newsletter/confirm?token={_SECRET}", "seconds": _TWO_DAYS},
        "newsletter_welcome": {"link": f"{_SHOP}/newsletter/7b1f6c1e-3f0a-4c55-9d8e-2f4f8a3c9b10"},
        "back_in_stock": {
            "items": [
                {
                    "title": "Fellside wool blanket - Moss",
                    "link": f"{_SHOP}/products/fellside-blanket?variant=7",
                },
                {"title": "Enamel camp mug - Cream", "link": f"{_SHOP}/products/camp-mug?variant=9"},
            ]
        },
        "order_confirmation": {"order": ORDER, "link": f"{_SHOP}/orders/1?uuid={_SECRET}", "seconds": _HOUR},
        "order_confirmation.fetched": {
            "order": _FETCHED,
            "link": f"{_SHOP}/orders/1?uuid={_SECRET}",
            "seconds": _HOUR,
        },
        "cart_reminder": {
            "items": [
                {"title": "Fellside wool blanket - Moss", "quantity": 1},
                {"title": "Enamel camp mug - Cream", "quantity": 2},
            ],
            "link": f"{_SHOP}/cart?cart_uuid=7b1f6c1e-3f0a-4c55-9d8e-2f4f8a3c9b10",
        },
        "order_shipped": {
            "order": ORDER,
            "parcel": _PARCEL,
            "packed": [(ORDER.lines[0], 1), (ORDER.lines[1], 2)],
            "link": f"{_SHOP}/orders/1?uuid={_SECRET}",
            "seconds": _HOUR,
        },
        "order_cancelled": {
            "order": msgspec.structs.replace(ORDER, status="cancelled"),
            "link": f"{_SHOP}/orders/1?uuid={_SECRET}",
            "seconds": _HOUR,
        },
        "refund": {
            "order": ORDER,
            "amount": 15_464,
            "currency": "USD",
            "returned": [(ORDER.lines[0], 1)],
            "link": f"{_SHOP}/orders/1?uuid={_SECRET}",
            "seconds": _HOUR,
        },
        "order_link": {"order": ORDER, "link": f"{_SHOP}/orders/1?uuid={_SECRET}", "seconds": _HOUR},
    }
)
# Mails of the newsletter itself say how it ends.
_UNSUBSCRIBE: Final = Unsubscribe(
    page=f"{_SHOP}/newsletter/7b1f6c1e-3f0a-4c55-9d8e-2f4f8a3c9b10",
    one_click="https://shop.example/storefront/v1/subscriptions/7b1f6c1e-3f0a-4c55-9d8e-2f4f8a3c9b10/unsubscribe",
)


def template_of(example: str) -> str:
    """The mail that an example is of; what follows a dot tells several of one mail apart."""
    return example.partition(".")[0]


def render_example(writer: MailWriter, name: str, *, store: StoreConfig, language: str | None) -> Mail:
    """The mail of the example of that name."""
    return writer.render(
        template_of(name),
        store=store,
        language=language,
        to="ada@example.com",
        key="example",
        values=EXAMPLES[name],
        unsubscribe=_UNSUBSCRIBE if name in ("newsletter_welcome", "cart_reminder") else None,
    )
