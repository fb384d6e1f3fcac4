"""How mails travel: what a reader's program makes of them, and one connection for many, each mail once."""

import asyncio
import re
import ssl
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path

import aiosmtplib
import css_inline
import msgspec
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from jinja2 import Environment

from app.domain.stores.mail import Mail
from app.integrations.mail import MailTemplates, SmtpMailer, conversation, sending, write_message
from app.integrations.mail.examples import EXAMPLES, render_example
from app.integrations.mail.look import colors_of
from app.integrations.mail.styling import CSS, StyledTemplates, style_parts
from app.kit.clock import utc_now
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


@pytest.fixture(params=[("PIPELINING",), ()], ids=["in one go", "step by step"])
async def server(request):
    async with mail_server() as made:
        made.extensions = request.param
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
    # A server that says goodbye to who has been there is no refusal; one that takes nobody is.
    server.mood = "tired"
    await mailer.send(numbered(6))
    assert len(server.taken) == 7
    server.mood = "full"
    with pytest.raises(aiosmtplib.SMTPSenderRefused, match="that was enough"):
        await mailer.send(numbered(7))


async def test_many_mails_take_turns_at_a_few_connections(server: MailServer, mailer: SmtpMailer):
    await asyncio.gather(*(mailer.send(numbered(number)) for number in range(20)))
    assert server.greeted == sending.MOST_CONNECTIONS
    assert len(set(taken(server))) == 20


async def test_a_server_that_hangs_keeps_nobody_for_long_and_what_is_begun_is_not_cut_off(
    server: MailServer, mailer: SmtpMailer, monkeypatch
):
    await mailer.send(numbered(0))  # what is done once for all mails is done
    server.mood = "silent"
    with monkeypatch.context() as patched:
        patched.setattr(sending, "BEGIN_SECONDS", 0.5)
        async with asyncio.timeout(conversation.SMTP_SECONDS - 1):
            told = await asyncio.gather(
                *(mailer.send(numbered(number)) for number in range(1, 9)), return_exceptions=True
            )
    assert {type(one) for one in told} == {aiosmtplib.SMTPTimeoutError}
    assert {str(one) for one in told} == {"The mail server is too slow"}
    server.recover()
    limits: list[asyncio.Timeout] = []
    ends: list[float | None] = []
    timeout, give = asyncio.timeout, conversation.Conversation.give

    def limit(seconds: float) -> asyncio.Timeout:
        limits.append(timeout(seconds))
        return limits[-1]

    async def note_and_give(self: conversation.Conversation, message: bytes) -> None:
        ends.append(limits[0].when())
        await give(self, message)

    monkeypatch.setattr(asyncio, "timeout", limit)
    monkeypatch.setattr(conversation.Conversation, "give", note_and_give)
    await mailer.send(numbered(9))
    assert (ends, len(server.taken)) == ([None], 2)


async def test_what_is_written_arrives_whatever_its_lines_begin_with(server: MailServer, mailer: SmtpMailer):
    words = ".\n..\n.hidden\n250 no reply\n\n.\n"
    await mailer.send(msgspec.structs.replace(MAIL, text=words))
    await mailer.send(numbered(1))
    (plain, _), second = server.taken[0].get_payload(), server.taken[1]
    assert plain.get_payload().replace("\r\n", "\n") == words
    assert second["Message-ID"] == "<1@shop.example>"


async def test_a_refused_mail_leaves_the_connection_to_the_next(server: MailServer, mailer: SmtpMailer):
    await mailer.send(numbered(0))
    server.mood = "busy"
    with pytest.raises(aiosmtplib.SMTPRecipientRefused) as refused:
        await mailer.send(numbered(1))
    assert (refused.value.code, refused.value.message) == (451, "later\nperhaps")
    server.mood = "well"
    with pytest.raises(ValueError, match="not permitted"):
        await mailer.send(msgspec.structs.replace(MAIL, to="a b@c.example"))
    await mailer.send(numbered(2))
    assert (server.greeted, taken(server)) == (1, ["<0@shop.example>", "<2@shop.example>"])


async def test_a_mail_to_nobody_is_not_given_to_a_server_that_asks_for_it(
    server: MailServer, mailer: SmtpMailer
):
    server.mood = "careless"
    async with asyncio.timeout(5):  # nor does anybody wait for what it makes of that
        with pytest.raises(aiosmtplib.SMTPRecipientRefused):
            await mailer.send(numbered(0))
    server.mood = "well"
    await mailer.send(numbered(1))
    assert taken(server) == ["<1@shop.example>"]


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


async def test_a_server_that_says_nothing_or_nonsense_is_given_up(server: MailServer, monkeypatch):
    monkeypatch.setitem(conversation.Conversation._ask.__kwdefaults__, "seconds", 0.05)
    mailer = SmtpMailer(server.url)
    for mood, problem in (
        ("silent", aiosmtplib.SMTPTimeoutError),
        ("rude", aiosmtplib.SMTPServerDisconnected),
    ):
        await mailer.send(numbered(0))
        server.mood = mood
        with pytest.raises(problem):
            await mailer._offer(mailer._resting.pop()[0], numbered(1))
        server.recover()
    # A rested connection that is found so is replaced, and costs no mail.
    await mailer.send(numbered(2))
    assert taken(server) == ["<0@shop.example>"] * 2 + ["<2@shop.example>"]
    await mailer.close()


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
    server.extensions += ("SMTPUTF8",)
    await mailer.send(far)
    assert b"To: j\xc3\xbcrgen@b\xc3\xbccher.example\r\n" in write_message(far)
    assert len(server.taken) == 1


def certificate(folder: Path) -> Path:
    """A certificate of 127.0.0.1 by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(utc_now() - timedelta(days=1))
        .not_valid_after(utc_now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_mails_travel_encrypted_and_in_either_event_loop(tmp_path: Path, monkeypatch):
    path = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    async def send(tls: ssl.SSLContext | None) -> list[str]:
        async with mail_server(tls) as server:
            mailer = SmtpMailer(server.url)
            for number in range(2):
                await mailer.send(numbered(number))
            await mailer.close()
            assert server.greeted == 1
            return taken(server)

    # Who it is that takes them must be known.
    with pytest.raises((aiosmtplib.SMTPException, OSError), match="certificate"):
        asyncio.run(send(context))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    for run in (asyncio.run, uvloop.run):
        for tls in (None, context):
            assert run(send(tls)) == ["<0@shop.example>", "<1@shop.example>"]
