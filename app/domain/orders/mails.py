"""What the mails about an order say."""

from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app.domain.orders.queries import OrderView
from app.domain.stores.mail import Mail
from app.domain.stores.queries import StoreConfig
from app.kit import money

_environment: Final = Environment(
    loader=PackageLoader("app.domain.orders", "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_mail(
    name: str,
    *,
    store: StoreConfig,
    order: OrderView,
    sender: str,
    subject: str,
    message_id: str,
    link: str,
) -> Mail:
    """A mail to an order's buyer from the templates of that name, as text and as HTML."""

    def amount(minor: int) -> str:
        return f"{money.to_decimal_text(minor, order.currency)} {order.currency}"

    values: dict[str, Any] = {"store": store, "order": order, "amount": amount, "link": link}
    return Mail(
        to=order.email,
        sender=sender,
        subject=subject,
        text=_environment.get_template(f"{name}.txt").render(values),
        html=_environment.get_template(f"{name}.html").render(values),
        message_id=message_id,
    )
