"""How a mail is made of its template: text and HTML from the same words, in the reader's language.

A mail is one template in templates/mails. It is rendered twice, with the parts (paragraph, button, table) and
the frame of text or of HTML, so that the two cannot drift apart.
"""

import re
from collections.abc import Mapping
from email.headerregistry import Address
from email.utils import parseaddr
from functools import cache
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import css_inline
from babel import Locale
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from app.domain.stores.mail import Mail, Unsubscribe
from app.domain.stores.queries import StoreConfig
from app.integrations.mail.formats import create_filters, one_line
from app.integrations.mail.languages import choose_language, load_translations, locale_of
from app.integrations.mail.look import Colors, colors_of
from app.settings import Settings

Form = Literal["html", "txt"]

_inliner: Final = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
_MANY_BREAKS: Final = re.compile(r"\n\s*\n\s*\n+")


@cache
def _environment(form: Form, language: str, locale: Locale) -> Environment:
    environment = Environment(
        loader=PackageLoader("app.integrations.mail", "templates"),
        autoescape=form == "html",  # noqa: S701 - text is no HTML, and would be spoiled by it
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(create_filters(locale))
    # The extension adds this method to the environment, where no type checker can see it.
    install: Any = getattr(environment, "install_gettext_translations")  # noqa: B009 - for the reason above
    install(load_translations(language), newstyle=True)
    environment.globals["frame"] = f"frame.{form}.jinja"
    environment.globals["part"] = environment.get_template(f"parts.{form}.jinja").module
    return environment


@cache
def _style(colors: Colors) -> str:
    return _environment("txt", "en", Locale("en")).get_template("mail.css.jinja").render(colors=colors)


def _subject(template: Template, values: Mapping[str, Any]) -> str:
    return one_line("".join(template.blocks["subject"](template.new_context(dict(values)))))


class MailTemplates:
    """The mails of this installation: where their sender and their links come from is in the settings."""

    def __init__(self, settings: Settings) -> None:
        self._sender_name, self._sender = parseaddr(settings.mail_from)
        self._host = urlsplit(settings.public_url).hostname or "localhost"

    def render(
        self,
        name: str,
        *,
        store: StoreConfig,
        language: str | None,
        to: str,
        key: str,
        values: Mapping[str, Any],
        unsubscribe: Unsubscribe | None = None,
    ) -> Mail:
        """The mail, as MailWriter says. A value that its template wants and nobody gave is an UndefinedError."""
        chosen = choose_language(language, store.language)
        locale = locale_of(chosen, store.country)
        path = f"mails/{name}.jinja"
        colors = colors_of(store.look.color)
        plain = _environment("txt", chosen, locale).get_template(path)
        given = {
            **values,
            "store": store,
            "unsubscribe": unsubscribe,
            "language": chosen,
            "direction": locale.text_direction,
        }
        subject = _subject(plain, given)
        html = _environment("html", chosen, locale).get_template(path)
        page = html.render(given, subject=subject, style=_style(colors), colors=colors)
        headers = {"Content-Language": chosen, "Auto-Submitted": "auto-generated"}
        if store.email:
            headers["Reply-To"] = store.email
        if unsubscribe is not None:
            headers["List-Unsubscribe"] = f"<{unsubscribe.one_click}>"
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return Mail(
            to=to,
            sender=str(Address(one_line(self._sender_name or store.name), addr_spec=self._sender)),
            subject=subject,
            text=_MANY_BREAKS.sub("\n\n", plain.render(given)).strip() + "\n",
            html=_inliner.inline(page),
            message_id=f"<{name}-{key}@{self._host}>",
            headers=headers,
        )
