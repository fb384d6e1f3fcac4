"""What mails say: every template in every language, as HTML and as text, and nothing that was smuggled in."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import msgspec
import pytest
from babel import Locale
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from app.domain.stores.mail import Mail
from app.domain.stores.queries import Look, PaymentChoice, StoreConfig
from app.integrations.mail import MailTemplates, write_message
from app.integrations.mail.examples import EXAMPLES, ORDER, render_example, template_of
from app.integrations.mail.formats import create_filters, person
from app.integrations.mail.languages import FOLDER, choose_language, list_languages, locale_of
from app.integrations.mail.look import ENOUGH, NIGHT, PAPER, USUAL, colors_of, contrast
from app.kit.languages import match_language, wanted_languages
from app.settings import load_settings

TEMPLATES = FOLDER.parent / "templates"
STORE = StoreConfig(
    id=1,
    code="default",
    host=None,
    name="Tarn & Hearth",
    email="hello@shop.example",
    currency="USD",
    language="en",
    country="US",
    order_prefix="#",
    tax_included=False,
    tax_shipping=False,
    cancellation_reasons=(),
    contact_subjects=(),
    zones=(),
    taxes=(),
    payment_services=(),
)
WRITER = MailTemplates(load_settings({"STOREFRONT_PUBLIC_URL": "https://shop.example:8443"}))


def store(**changes) -> StoreConfig:
    return msgspec.structs.replace(STORE, **changes)


def write(name: str, *, language: str | None = "en", shop: StoreConfig = STORE, **changes) -> Mail:
    values = {**EXAMPLES[name], **changes}
    return WRITER.render(
        template_of(name),
        store=shop,
        language=language,
        to="ada@example.com",
        key="7",
        values=values,
        unsubscribe=None,
    )


def test_every_template_has_an_example():
    assert {template_of(name) for name in EXAMPLES} == {path.stem for path in (TEMPLATES / "mails").iterdir()}


@pytest.mark.parametrize("language", list_languages())
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_mail_says_the_same_as_text_and_as_html(name, language):
    mail = render_example(WRITER, name, store=STORE, language=language)
    assert mail.headers["Content-Language"] == language
    assert mail.message_id == f"<{template_of(name)}-example@shop.example>"
    html = re.sub(r"<head>.*?</head>", "", mail.html, flags=re.DOTALL)
    link = EXAMPLES[name].get("link")
    for part in (mail.text, html):
        assert not re.search(r"\{\{|\{%|%\(|None|Undefined", part)
        assert link is None or link in part
    assert "<" not in mail.text
    assert "Tarn & Hearth" in mail.text
    assert "Tarn &amp; Hearth" in html
    # Mail programs drop <style>: what matters stands at the elements.
    assert f"background: {USUAL}" in html
    assert "@media (prefers-color-scheme: dark)" in mail.html


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_german_mail_has_no_english_left(name):
    english = render_example(WRITER, name, store=STORE, language="en")
    german = render_example(WRITER, name, store=STORE, language="de")
    assert english.subject != german.subject
    sentences = [line for line in english.text.splitlines() if line.endswith((".", ":")) and " " in line]
    assert [line for line in sentences if line in german.text] == []


def test_a_confirmation_says_how_its_total_came_about_and_is_paid():
    text = write("order_confirmation").text
    assert "It goes to:\nAda Berg\n12 Mill Lane\n97201 Portland\nOregon\nUnited States\n" in text
    bill = text.partition("Items: ")[2].partition("It goes to")[0].split("\n")
    assert bill[:9] == [
        "$152.00",
        "Discount (Spring sale, SPRING): -$15.20",
        "Shipping (Standard): $6.90",
        "Tax: $10.94",
        "Total: $154.64",
        "Paid by gift card …7KQ2: $50.00",
        "Paid from store credit: $20.00",
        "Paid: Test: $84.64",
        "",
    ]
    fetched = write(
        "order_confirmation.fetched", shop=store(payment_services=(PaymentChoice("manual", "Invoice"),))
    )
    assert "Pick-up (Mill Lane shop): $0.00\n" in fetched.text
    assert "To be paid: Invoice: $147.74\n" in fetched.text
    assert "You fetch it at:\nMill Lane shop\n12 Mill Lane, Portland; Monday" in fetched.text
    assert "It goes to" not in fetched.text
    (offer,), (*_, card) = ORDER.discounts, ORDER.payments
    for changes, said, unsaid in (
        ({"discounts": (), "discount_total": 0}, "Shipping (Standard)", "Discount"),
        ({"discounts": ()}, "Discount: -$15.20", "SPRING"),
        (
            {"discounts": (msgspec.structs.replace(offer, code="spring SALE"),)},
            "Discount (Spring sale): ",
            "SALE",
        ),
        (
            {"discounts": (msgspec.structs.replace(offer, kind="free_shipping"),), "discount_total": 0},
            "Shipping (Standard, Spring sale, SPRING): ",
            "Discount",
        ),
        ({"shipping_option": None, "shipping_total": 0}, "Total", "Shipping"),
        (
            {"payments": (msgspec.structs.replace(card, state="authorized"),)},
            "Reserved until we ship: Test: $84.64",
            "Paid",
        ),
        ({"payments": (msgspec.structs.replace(card, state="declined"),)}, "Total", "Test"),
        ({"payments": (msgspec.structs.replace(card, amount=0),)}, "Total", "Paid"),
        ({"tax_included": True}, "Tax (included): $10.94", "Tax: "),
        ({"lines": (msgspec.structs.replace(ORDER.lines[0], requires_shipping=False),)}, "Total", "goes to"),
    ):
        words = write("order_confirmation", order=msgspec.structs.replace(ORDER, **changes)).text
        assert said in words
        assert unsaid not in words, words


@pytest.mark.parametrize("name", ["order_confirmation", "order_shipped", "refund"])
def test_a_thing_is_named_once_with_its_variant(name):
    line = ORDER.lines[0]
    said = render_example(WRITER, name, store=STORE, language="en").text
    assert line.title in said
    assert said.count(line.variant_title) == 1


def test_values_are_escaped_in_html_and_left_alone_in_text():
    bad = "<img src=x onerror=alert(1)>&"
    mail = write("new_device", device=bad, shop=store(name=bad))
    assert "<img" not in mail.html
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;" in mail.html
    assert f"Device: {bad}" in mail.text
    line = msgspec.structs.replace(ORDER.lines[0], title=bad)
    bought = msgspec.structs.replace(
        ORDER, lines=(line,), shipping_address={**ORDER.shipping_address, "city": bad}
    )
    assert "<img" not in write("order_confirmation", order=bought).html


@pytest.mark.parametrize("forgotten", ["name", "link", "seconds"])
def test_a_value_that_nobody_gave_is_an_error_and_no_gap(forgotten):
    values = {name: value for name, value in EXAMPLES["verify_email"].items() if name != forgotten}
    with pytest.raises(UndefinedError, match=forgotten):
        WRITER.render("verify_email", store=STORE, language=None, to="a@b.example", key="1", values=values)


@pytest.mark.parametrize(
    "bad", ["x\r\nBcc: eve@example.com", "x\nBcc: eve@example.com", "x\rBcc: eve@x.de", "x\u2028Bcc: y"]
)
def test_nothing_that_somebody_typed_becomes_a_header(bad):
    order = msgspec.structs.replace(ORDER, name=bad)
    mail = write("order_link", order=order, shop=store(name=bad))
    message = message_from_bytes(write_message(mail), policy=default)
    assert message["Bcc"] is None
    assert message["Subject"] == "Your link to order x Bcc: " + bad.rpartition("Bcc: ")[2]
    assert message["From"].addresses[0].addr_spec == "shop@localhost"


def test_an_address_with_a_line_break_is_not_sent_to():
    mail = msgspec.structs.replace(write("account_closed"), to="a@b.example\r\nBcc: eve@example.com")
    with pytest.raises(ValueError, match="linefeed"):
        write_message(mail)


@pytest.mark.parametrize(
    ("name", "greeted"),
    [
        ("Ada", "Ada"), ("  Ada\nBerg ", "Ada Berg"), ("Дмитрий", "Дмитрий"), ("O'Neill-Smith, Jr", "O'Neill-Smith, Jr"),
        ("Win at https://evil.example", ""), ("see www.evil", ""), ("evil.com now", ""), ("a@b", ""), ("x" * 61, ""),
        ("<b>", ""), ("", ""), (None, ""),
    ],
)  # fmt: skip
def test_a_greeting_carries_no_advertisement_of_who_signed_up(name, greeted):
    assert person(name) == greeted


def test_the_sender_is_the_shop_unless_the_settings_name_one():
    assert write("account_closed").sender == "Tarn & Hearth <shop@localhost>"
    assert write("account_closed").headers["Reply-To"] == "hello@shop.example"
    named = MailTemplates(load_settings({"MAIL_FROM": '"Mill, Lane" <post@mill.example>'}))
    assert (
        render_example(named, "account_closed", store=STORE, language=None).sender
        == '"Mill, Lane" <post@mill.example>'
    )


def test_a_newsletter_says_how_it_ends_and_other_mails_do_not():
    mail = render_example(WRITER, "newsletter_welcome", store=STORE, language="en")
    message = message_from_bytes(write_message(mail), policy=default)
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (message["Content-Language"], message["Auto-Submitted"]) == ("en", "auto-generated")
    assert message.get_content_type() == "multipart/alternative"
    address = message["List-Unsubscribe"].strip("<>")
    assert address.startswith("https://shop.example/storefront/v1/subscriptions/")
    assert address.endswith("/unsubscribe")
    assert "Unsubscribe: https://shop.example/#/newsletter/" in mail.text
    assert "List-Unsubscribe" not in write("reset_password").headers


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("de-CH, fr;q=0.9, en;q=0.8", "de-CH,fr,en"), ("en;q=0.1,de", "de,en"), ("fr;q=0, de;q=0.5", "de"), ("*", None), ("", None),
        (None, None), ("de;q=x", None), ("de;level=1", "de"), ("x" * 5000, None), ("de\r\nX: y", None), ("a,b,c", None),
        ("aa,bb,cc,dd,ee,ff", "aa,bb,cc,dd,ee"), ("de;q=nan", None),
    ],
)  # fmt: skip
def test_a_browsers_languages_are_kept_in_its_order(header, kept):
    assert wanted_languages(header) == kept


@pytest.mark.parametrize(
    ("wanted", "shop", "spoken"),
    [
        ("de-AT", "en", "de"), ("fr,de", "en", "de"), ("fr", "de", "de"), ("fr", "fr", "en"), (None, "de-CH", "de"), ("EN-gb,de", "de", "en"),
    ],
)  # fmt: skip
def test_a_mail_is_in_the_readers_language_else_in_the_shops(wanted, shop, spoken):
    assert choose_language(wanted, shop) == spoken


def test_a_language_is_not_matched_by_its_first_letters():
    assert match_language("den", ("de", "en")) is None


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_every_colour_of_a_shop_can_be_read(parts):
    colors = colors_of("#" + "".join(f"{part:02X}" for part in parts))
    assert contrast(colors.on_brand, colors.brand) >= ENOUGH
    assert contrast(colors.link, PAPER) >= ENOUGH
    assert contrast(colors.link_dark, NIGHT) >= ENOUGH


def test_the_shops_colour_and_logo_are_used_and_what_is_no_colour_is_not():
    mail = write(
        "account_closed", shop=store(look=Look(color="#aa3300", logo="https://cdn.example/logo.png"))
    )
    assert 'bgcolor="#aa3300"' in mail.html
    (logo,) = re.findall(r"<img [^>]*>", mail.html)
    assert 'src="https://cdn.example/logo.png"' in logo
    assert 'alt="Tarn &amp; Hearth"' in logo
    assert colors_of("red;}</style>").brand == USUAL


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3600, "1 hour"),
        (600, "10 minutes"),
        (172_800, "2 days"),
        (5400, "90 minutes"),
        (90, "1 minute"),
        (45, "45 seconds"),
    ],
)
def test_a_span_of_time_never_promises_more_than_it_is(seconds, said):
    assert create_filters(Locale("en"))["span"](seconds) == said


@pytest.mark.parametrize(
    ("minor", "currency", "language", "country", "said"),
    [
        (123_450, "USD", "en", "US", "$1,234.50"), (123_450, "EUR", "de", "DE", "1.234,50\xa0€"), (1234, "JPY", "en", "US", "¥1,234"),
        (1_234_567, "KWD", "en", "US", "KWD\xa01,234.567"), (-500, "USD", "en", "US", "-$5.00"), (123_450, "CHF", "de", "CH", "CHF\xa01\u2019234.50"),
    ],
)  # fmt: skip
def test_money_is_written_as_in_the_shops_country(minor, currency, language, country, said):
    assert create_filters(locale_of(language, country))["money"](minor, currency) == said


def test_a_moment_is_told_in_the_readers_time_zone():
    moment = create_filters(locale_of("de", "DE"))["moment"]
    at = datetime(2026, 3, 14, 15, 9, tzinfo=UTC)
    assert moment(at, "Europe/Berlin") == "14. März 2026, 16:09 MEZ"
    assert moment(at, "Nowhere/../etc") == moment(at, None) == "14. März 2026, 15:09 UTC"


def _messages() -> set[str]:
    found = extract_from_dir(
        TEMPLATES, [("**.jinja", "jinja2")], {"**.jinja": {"newstyle_gettext": "true", "silent": "false"}}
    )
    return {message for _, _, message, *_ in found}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.po")), ids=lambda path: path.stem)
def test_every_message_is_translated_with_all_that_stands_in_it(path: Path):
    with path.open("rb") as file:
        catalogue = read_po(file, locale=path.stem)
    translated = {message.id: message for message in catalogue if message.id}
    assert set(translated) == _messages(), "run `make messages`, then translate what is new"
    for text, message in translated.items():
        assert message.string, text
        assert not message.fuzzy, text
        names = [sorted(re.findall(r"%\(\w+\)s", part)) for part in (text, message.string)]
        assert names[0] == names[1]
