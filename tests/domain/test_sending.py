"""How mails travel: what a reader's program makes of them, and one connection for many, each mail once."""

import asyncio
import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import aiosmtplib
import css_inline
import msgspec
import pytest
from jinja2 import Environment

from app.domain.stores.mail import Mail
from app.integrations.mail import MailTemplates, SmtpMailer, sending, write_message
from app.integrations.mail.examples import EXAMPLES, render_example
from app.integrations.mail.look import colors_of
from app.integrations.mail.styling import CSS, StyledTemplates, style_parts
from app.settings import load_settings
from tests.domain.test_mails import STORE
from tests.standins.mail_server import MailServer, mail_server

MAIL = Mail(
    to="ada@example.com",
    sender="Tarn & Hearth <shop@localhost>",
    subject="Your order #1001",
    text="Hello\n",
    html="<p>Hello</p>\n",
    message_id="<order_confirmation-7@shop.example>",
    headers={"Content-Language": "en"},
)


def read(mail: Mail) -> EmailMessage:
    """What a program reads; on the way every server takes every line of it (RFC 5321, 4.5.3.1.6)."""
    written = write_message(mail)
    assert written.isascii()
    assert max(map(len, written.split(b"\r\n"))) <= 998
    message = message_from_bytes(written, policy=default)
    assert [part.defects for part in message.walk()] == [[], [], []]
    return message


def test_a_readers_program_finds_what_was_written():
    long = "x" * 2000
    for words in (
        "Hello\n",
        "Grüße\n.\n..\nFrom you\n-- \nTarn\n",
        f"{long}\n",
        f"{long} ü\n",
        "a\r\nb\rc\n",
        "=20\t \n",
    ):
        message = read(msgspec.structs.replace(MAIL, text=words, html=f"<p>{words}</p>\n"))
        for kind, written in (("plain", words), ("html", f"<p>{words}</p>\n")):
            found = message.get_body((kind,)).get_content()
            assert found.split("\r\n") == written.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for subject in (
        "Plain",
        "Grüße aus Köln",
        "many words " * 20,
        "ü" * 200,
        " led by a space",
    ):
        assert read(msgspec.structs.replace(MAIL, subject=subject))["Subject"].strip() == subject.strip()
    named = read(
        msgspec.structs.replace(MAIL, sender='"Möbel, Müller" <shop@example.com>', to="o'hara@example.com")
    )
    assert (named["From"].addresses[0].display_name, named["To"]) == ("Möbel, Müller", "o'hara@example.com")
    assert named["Content-Language"] == "en"
    for field in ("to", "subject", "sender", "message_id"):
        with pytest.raises(ValueError, match="linefeed"):
            write_message(msgspec.structs.replace(MAIL, **{field: "a@b.example\r\nBcc: eve@example.com"}))


ATTRIBUTE = r'[\w-]+="[^"]*"'


def in_order(html: str) -> str:
    """With the attributes of each element in the order of the alphabet."""

    def sort(element: re.Match[str]) -> str:
        return f"<{element[1]} {' '.join(sorted(re.findall(ATTRIBUTE, element[2])))}>"

    return re.sub(rf"<(\w+)((?: {ATTRIBUTE})+)>", sort, html)


def test_style_is_at_the_elements_as_if_each_mail_had_been_styled_by_itself():
    writer = MailTemplates(load_settings({}))
    css = Environment(loader=StyledTemplates("app.integrations.mail", "templates")).get_template(CSS)
    style = css.render(colors=colors_of(STORE.look.color))
    inliner = css_inline.CSSInliner(keep_at_rules=True)
    for name in EXAMPLES:
        html = render_example(writer, name, store=STORE, language="en").html
        bare = re.sub(r' style="[^"]*"', "", html)
        bare = re.sub(r"<style>.*?</style>", f"<style>{style}</style>", bare, flags=re.DOTALL)
        assert bare.count("style=") == 0
        assert in_order(inliner.inline(bare)) == in_order(html)


def test_a_tag_that_html_would_move_is_refused():
    with pytest.raises(ValueError, match="a tag where HTML can have none"):
        style_parts("<table>{% if late %}<tr><td>Late</td></tr>{{ why }}{% endif %}</table>", "")


@pytest.fixture
async def server():
    async with mail_server() as made:
        yield made


@pytest.fixture
async def mailer(server: MailServer):
    made = SmtpMailer(server.url)
    yield made
    await made.close()


def numbered(number: int) -> Mail:
    return msgspec.structs.replace(MAIL, message_id=f"<{number}@shop.example>")


def taken(server: MailServer) -> list[str]:
    return sorted(str(one["Message-ID"]) for one in server.taken)


async def test_one_connection_takes_many_mails_and_one_that_was_ended_meanwhile_costs_none(
    server: MailServer, mailer: SmtpMailer
):
    for number in range(3):
        await mailer.send(numbered(number))
    assert server.greeted == 1
    server.hang_up()
    await asyncio.gather(*(mailer.send(numbered(number)) for number in range(3, 6)))
    assert 2 <= server.greeted <= 4
    assert taken(server) == [f"<{number}@shop.example>" for number in range(6)]
    # A server that says goodbye for want of work is no refusal.
    server.mood = "tired"
    await mailer.send(numbered(6))
    assert len(server.taken) == 7


async def test_a_refused_mail_leaves_the_connection_to_the_next(server: MailServer, mailer: SmtpMailer):
    await mailer.send(numbered(0))
    server.mood = "busy"
    with pytest.raises(aiosmtplib.SMTPRecipientRefused):
        await mailer.send(numbered(1))
    server.mood = "well"
    await mailer.send(numbered(2))
    assert (server.greeted, taken(server)) == (1, ["<0@shop.example>", "<2@shop.example>"])


async def test_a_mail_whose_fate_is_not_known_is_not_sent_again_by_itself(
    server: MailServer, mailer: SmtpMailer
):
    """The server has it, and its word is lost: the queue knows that, and says when it is tried again."""
    await mailer.send(numbered(0))
    server.mood = "speechless"
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await mailer.send(numbered(1))
    server.mood = "well"
    await mailer.send(numbered(2))
    assert taken(server) == [f"<{number}@shop.example>" for number in range(3)]


async def test_a_connection_that_rests_too_long_is_ended_politely(server: MailServer, monkeypatch):
    monkeypatch.setattr(sending, "REST_SECONDS", 0.01)
    mailer = SmtpMailer(server.url)
    await mailer.send(numbered(0))
    async with asyncio.timeout(10):
        await server.left.wait()
    await mailer.close()


async def test_addresses_beyond_ascii_need_a_server_that_takes_them(server: MailServer, mailer: SmtpMailer):
    far = msgspec.structs.replace(MAIL, to="jürgen@bücher.example")
    with pytest.raises(aiosmtplib.SMTPNotSupported):
        await mailer.send(far)
    server.extensions = ("SMTPUTF8",)
    await mailer.send(far)
    assert b"To: j\xc3\xbcrgen@b\xc3\xbccher.example\r\n" in write_message(far)
    assert len(server.taken) == 1
