"""The development page's own routes: what may be read, under which policy, and that production has none."""

import re
from email.message import EmailMessage
from urllib.parse import urlsplit

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from app.integrations.mail.examples import EXAMPLES
from app.main import create_app
from app.web.files import PICTURES, STATIC, file_handlers
from app.web.mails import mail_handlers
from tests.conftest import make_store
from tests.shop import settings_for


@pytest.fixture
async def page(tmp_path):
    folder = tmp_path / "mails"
    folder.mkdir()
    message = EmailMessage()
    message["Subject"] = "Your order #1001"
    message["To"] = "ada@example.com"
    message["From"] = "Shop <shop@localhost>"
    message.set_content("Thank you.")
    message.add_alternative("<p>Thank you.</p><script>alert(1)</script>", subtype="html")
    (folder / "confirmation-1.eml").write_bytes(message.as_bytes())
    (tmp_path / "secret.eml").write_text("Subject: secret\n\nsecret")
    app = Litestar(
        [*file_handlers(), *mail_handlers(folder, over_smtp=False)], openapi_config=None, logging_config=None
    )
    async with AsyncTestClient(app) as client:
        yield client


async def test_the_page_runs_scripts_of_its_own_files_only(page):
    answer = await page.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", answer.text) == []


async def test_every_file_that_the_page_names_is_there(page):
    named = set(re.findall(r'(?:href|src)="(/web/[^"]+)"', (await page.get("/")).text))
    assert named
    for address in named:
        assert (await page.get(address)).status_code == 200


@pytest.mark.parametrize("path", sorted(p.relative_to(STATIC).as_posix() for p in STATIC.rglob("*.js")))
async def test_every_module_that_a_module_imports_is_there(page, path):
    source = (await page.get(f"/web/{path}")).text
    for other in re.findall(r'from "(\.[^"]+)"', source):
        assert ((STATIC / path).parent / other).resolve().is_file()


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "html"), ("/web/base.css", "css"), ("/web/main.js", "javascript")]
)
async def test_what_is_sent_says_once_what_it_is_and_how_it_is_written(page, path, kind):
    assert (await page.get(path)).headers["content-type"] == f"text/{kind}; charset=utf-8"


async def test_a_file_that_has_not_changed_is_not_sent_again(page):
    first = await page.get("/web/base.css")
    again = await page.get("/web/base.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_pictures_are_served_without_the_right_to_run(page):
    name = next(PICTURES.glob("*.svg")).name
    answer = await page.get(f"/demo/images/{name}")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/web/../files.py", "/web/%2e%2e/files.py", "/web/..%2ffiles.py", "/web//etc/passwd", "/web/nothing.js",
        "/demo/images/..%2f..%2fshop.toml", "/demo/images/nothing.svg",
        "/dev/mails/..%2fsecret.eml", "/dev/mails/secret.eml", "/dev/mails/%2e%2e%2fsecret.eml/html",
    ],
)  # fmt: skip
async def test_nothing_beside_the_listed_files_can_be_read(page, path):
    assert (await page.get(path)).status_code in (400, 404, 500)


async def test_mails_are_listed_and_read(page):
    listed = (await page.get("/dev/mails")).json()
    assert [mail["subject"] for mail in listed["items"]] == ["Your order #1001"]
    mail = (await page.get("/dev/mails/confirmation-1.eml")).json()
    assert (mail["to"], mail["text"], mail["has_html"]) == ("ada@example.com", "Thank you.\n", True)


async def test_every_mail_has_an_example_in_every_language(client, sessions):
    headers = {"X-Store": (await make_store(sessions)).code}
    listed = (await client.get("/dev/mail-examples", headers=headers)).json()
    assert {"en", "de"} <= set(listed["languages"])
    for name in listed["names"]:
        for language in listed["languages"]:
            place = f"/dev/mail-examples/{language}/{name}"
            mail = (await client.get(place, headers=headers)).json()
            assert mail["headers"]["Content-Language"] == language
            html = await client.get(f"{place}/html", headers=headers)
            assert html.status_code == 200
            assert "Test store" in html.text
            assert "script-src" not in html.headers["content-security-policy"]
            assert "default-src 'none'" in html.headers["content-security-policy"]


async def test_every_mailed_link_leads_to_a_view_of_the_page(page):
    routes = re.findall(r"^  \[/(\^.+\$)/, \w+\],$", (await page.get("/web/main.js")).text, re.MULTILINE)
    assert len(routes) > 10
    links = {values["link"] for values in EXAMPLES.values() if "link" in values}
    for link in links:
        path = urlsplit(link).fragment.partition("?")[0]
        assert any(re.search(route, path) for route in routes), link


@pytest.mark.parametrize(
    "place", ["xx/verify_email", "en/nothing", "en/..%2fframe.html", "de/verify_email.jinja/html"]
)
async def test_an_example_that_is_not_there_is_not_found(client, place):
    assert (await client.get(f"/dev/mail-examples/{place}")).status_code == 404


async def test_a_mails_html_may_run_nothing(page):
    answer = await page.get("/dev/mails/confirmation-1.eml/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "sandbox allow-top-navigation-by-user-activation" in policy


def test_production_has_no_development_page(database_url, redis_url, tmp_path):
    settings = settings_for(
        database_url,
        redis_url,
        STOREFRONT_ENV="production",
        STOREFRONT_PUBLIC_URL="https://shop.example",
        STOREFRONT_DATA_DIR=str(tmp_path),
    )
    paths = {route.path for route in create_app(settings).routes}
    assert not [path for path in paths if path == "/" or path.startswith(("/web", "/dev", "/demo", "/test-"))]
