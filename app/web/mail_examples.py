"""What the development page shows of the mails that the shop can write: each with example values, by language."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from app.domain.stores.directory import StoreDirectory
from app.domain.stores.mail import Mail, MailWriter
from app.integrations.mail.examples import EXAMPLES, render_example
from app.integrations.mail.languages import list_languages
from app.kit.errors import NOT_FOUND, NotFound
from app.web.mails import MAIL_POLICY

# An example is the shop's own: its logo may be fetched, which a mail that came from anywhere may not.
EXAMPLE_POLICY: Final = MAIL_POLICY.replace("img-src data:", "img-src data: https:")


class MailExamples(msgspec.Struct):
    names: list[str]
    languages: list[str]


class MailExample(msgspec.Struct):
    subject: str
    sender: str
    to: str
    headers: dict[str, str]
    text: str


def mail_example_handlers(writer: MailWriter, stores: StoreDirectory) -> list[Any]:
    async def render(request: Request[Any, Any, Any], language: str, name: str) -> Mail:
        if name not in EXAMPLES or language not in list_languages():
            raise NotFound(NOT_FOUND, "There is no mail of this name in this language.")
        host = request.headers.get("host", "").partition(":")[0].lower()
        store = await stores.find(code=request.headers.get("x-store", ""), host=host)
        return render_example(writer, name, store=store, language=language)

    @get("/dev/mail-examples", include_in_schema=False)
    async def examples() -> MailExamples:
        return MailExamples(names=list(EXAMPLES), languages=list(list_languages()))

    @get("/dev/mail-examples/{language:str}/{name:str}", include_in_schema=False)
    async def example(
        request: Request[Any, Any, Any], language: FromPath[str], name: FromPath[str]
    ) -> MailExample:
        mail = await render(request, language, name)
        return MailExample(
            subject=mail.subject, sender=mail.sender, to=mail.to, headers=mail.headers, text=mail.text
        )

    @get("/dev/mail-examples/{language:str}/{name:str}/html", include_in_schema=False)
    async def example_html(
        request: Request[Any, Any, Any], language: FromPath[str], name: FromPath[str]
    ) -> Response[str]:
        mail = await render(request, language, name)
        return Response(
            mail.html,
            media_type="text/html",
            headers={"Content-Security-Policy": EXAMPLE_POLICY},
        )

    return [examples, example, example_html]
