"""How a mail is made of its template: text and HTML from the same words, in the reader's language.

A mail is one template in templates/mails. It is rendered twice, with the parts (paragraph, button, table) and
the frame of text or of HTML, so that the two cannot drift apart. Templates are compiled once in each language, with
their style at the elements (styling.py).
"""

import re
from collections.abc import Callable, Mapping
from email.headerregistry import Address
from email.utils import parseaddr
from functools import cache, lru_cache
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from babel import Locale
from jinja2 import Environment, StrictUndefined, Template
from jinja2.environment import TemplateModule
from jinja2.filters import do_mark_safe
from jinja2.runtime import Context

from app.domain.stores.mail import Mail, Unsubscribe
from app.domain.stores.queries import StoreConfig
from app.integrations.mail.formats import create_filters, one_line
from app.integrations.mail.languages import choose_language, load_translations, locale_of
from app.integrations.mail.look import Colors, colors_of
from app.integrations.mail.styling import StyledTemplates
from app.settings import Settings

Form = Literal["txt", "html"]
FORMS: Final[tuple[Form, ...]] = ("txt", "html")
_MANY_BREAKS: Final = re.compile(r"\n\s*\n\s*\n+")


def _translator(form: Form, language: str) -> Callable[..., str]:
    """What templates call `_`: a message in the language with its values in it, which HTML has escaped.

    Templates of Jinja's own extension ask for the same by way of the context, three calls for each message.
    """
    translate = load_translations(language).gettext

    @cache
    def translated(message: str) -> str:
        return translate(message) if form == "txt" else do_mark_safe(translate(message))

    @cache
    def plain(message: str) -> str:
        return translated(message) % {}

    return lambda message, /, **values: translated(message) % values if values else plain(message)


class _Context(Context):
    """What templates know. None of the functions and macros of mails asks for it, so that calling them is all there
    is to a call; Jinja looks each time at what it calls, which takes as long as the escaping of all values.
    """

    def call(
        self,
        called: Callable[..., Any],
        /,
        *args: Any,
        _loop_vars: object = None,
        _block_vars: object = None,
        **values: Any,
    ) -> Any:
        return called(*args, **values)


class _Environment(Environment):
    context_class = _Context


@cache
def _environment(form: Form, language: str, locale: Locale) -> Environment:
    environment = _Environment(
        loader=StyledTemplates("app.integrations.mail", "templates"),
        auto_reload=False,
        autoescape=form == "html",  # text is no HTML, and would be spoiled by it
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(create_filters(locale))
    environment.globals["_"] = _translator(form, language)
    environment.globals["frame"] = f"frame.{form}.jinja"
    return environment


@cache
def _template(form: Form, language: str, locale: Locale, name: str) -> Template:
    return _environment(form, language, locale).get_template(f"mails/{name}.jinja")


@cache
def _parts(form: Form, language: str, locale: Locale, colors: Colors) -> TemplateModule:
    """What mails are made of, in these colours."""
    return (
        _environment(form, language, locale)
        .get_template(f"parts.{form}.jinja")
        .make_module({"colors": colors})
    )


def _render_text(template: Template, values: dict[str, Any]) -> tuple[str, str]:
    """A mail's subject, which is on one line, and its text."""
    context = template.new_context(values)
    try:
        subject = one_line("".join(template.blocks["subject"](context)))
        text = "".join(template.root_render_func(context))
    except Exception:  # noqa: BLE001 - Jinja raises it again, with the template's lines in its traceback
        template.environment.handle_exception()
    return subject, _MANY_BREAKS.sub("\n\n", text).strip() + "\n"


@lru_cache(maxsize=256)
def _mailbox(name: str, address: str) -> str:
    return str(Address(name, addr_spec=address))


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
        colors = colors_of(store.look.color)
        plain, html = (_template(form, chosen, locale, name) for form in FORMS)
        plain_parts, html_parts = (_parts(form, chosen, locale, colors) for form in FORMS)
        given = {
            **values,
            "store": store,
            "unsubscribe": unsubscribe,
            "language": chosen,
            "direction": locale.text_direction,
        }
        subject, text = _render_text(plain, {**given, "part": plain_parts})
        headers = {"Content-Language": chosen, "Auto-Submitted": "auto-generated"}
        if store.email:
            headers["Reply-To"] = store.email
        if unsubscribe is not None:
            headers["List-Unsubscribe"] = f"<{unsubscribe.one_click}>"
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return Mail(
            to=to,
            sender=_mailbox(one_line(self._sender_name or store.name), self._sender),
            subject=subject,
            text=text,
            html=html.render(given, part=html_parts, subject=subject, colors=colors),
            message_id=f"<{name}-{key}@{self._host}>",
            headers=headers,
        )
