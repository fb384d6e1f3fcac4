"""The development page: a small shop in the browser that uses the public API only. Never mounted in production."""

from typing import Any

from app.api.dependencies import Shop
from app.api.gate import Gate
from app.integrations.mail import MailTemplates
from app.settings import Settings
from app.web.files import file_handlers
from app.web.mail_examples import mail_example_handlers
from app.web.mails import mail_handlers
from app.web.second_step import second_step_handlers
from app.web.test_login import test_login_handlers


def web_handlers(settings: Settings, shop: Shop, gate: Gate) -> list[Any]:
    """The page at /, its files and pictures, the mails, and the pages of the test bank and test provider."""
    return [
        *file_handlers(),
        *mail_handlers(settings.data_dir / "mails", over_smtp=bool(settings.smtp_url)),
        *mail_example_handlers(MailTemplates(settings), shop.stores),
        *second_step_handlers(shop.till.services, shop_url=settings.shop_url),
        *test_login_handlers(gate.providers.redirects, shop_url=settings.shop_url),
    ]
