"""A real shop (`storefront dev` on data of its own) and a Chromium that walks through it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.api.live import free_port
from tests.browser.shopper import Shopper
from tests.standins.issuer import CLIENT_ID, CLIENT_SECRET, Issuer, issuer_stand_in

ROOT = Path(__file__).parents[2]
START_SECONDS = 90
PATIENCE_MS = 15_000  # on a machine that is busy, whose disk may be as well
CALM = [
    "--no-sandbox",  # the tests may run as root, and open pages of our own only
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that .ci/chromium finds or installs; without one these tests end with its one line."""
    folder = Path(sys.executable).parent
    search = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    found = subprocess.run(
        [ROOT / ".ci" / "chromium"], env=search, capture_output=True, text=True, check=False, timeout=300
    )
    if found.returncode:
        pytest.exit(found.stderr.strip(), returncode=1)
    return found.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="session")
async def google() -> AsyncIterator[Issuer]:
    """What stands in for Google: everybody passes its login, as whoever its claims say."""
    async with issuer_stand_in() as issuer:
        yield issuer


@pytest.fixture(scope="session")
def shop_url(google: Issuer) -> Iterator[str]:
    """The address of a shop with the demo catalogue, started as `make run` starts it."""
    folder = Path(tempfile.mkdtemp(prefix="storefront-browser-"))
    port = free_port()
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("STOREFRONT_") and name not in ("DATABASE_URL", "REDIS_URL", "SMTP_URL")
    }
    environ |= {
        "PORT": str(port),
        "STOREFRONT_DATA_DIR": str(folder / "data"),
        "STOREFRONT_WORKERS": "1",
        "STOREFRONT_QUEUE_POLL_SECONDS": "0.2",
        "STOREFRONT_LIMITS": "off",
        "OIDC_PROVIDERS": "google",
        "OIDC_GOOGLE_ISSUER": google.url,
        "OIDC_GOOGLE_CLIENT_ID": CLIENT_ID,
        "OIDC_GOOGLE_CLIENT_SECRET": CLIENT_SECRET,
        "PYTHONPATH": str(ROOT),
    }
    said = folder / "said"
    with said.open("wb") as output:
        shop = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "dev"],
            cwd=ROOT,
            env=environ,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    url = f"http://localhost:{port}"
    try:
        _wait_until_ready(url, shop, said)
        yield url
    finally:
        shop.send_signal(signal.SIGINT)
        try:
            shop.wait(20)
        except subprocess.TimeoutExpired:
            shop.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(url: str, shop: "subprocess.Popen[bytes]", said: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if shop.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/ready", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)  # a refused connection is the only sign that the shop is not open yet
    pytest.fail(f"the shop did not open: {said.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=chromium, args=CALM)
        yield made
        await made.close()


@pytest.fixture
async def shopper(browser: Browser, shop_url: str) -> AsyncIterator[Shopper]:
    """Somebody at a desk. Whatever the page asks for elsewhere, or says to the console in anger, is kept."""
    async with await browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-US") as context:
        yield await _walk_in(await context.new_page(), shop_url)


@pytest.fixture
async def phone(browser: Browser, shop_url: str) -> AsyncIterator[Shopper]:
    """Somebody with a phone, 390 pixels wide."""
    context = await browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, locale="en-US"
    )
    async with context:
        yield await _walk_in(await context.new_page(), shop_url)


async def _walk_in(page: Page, shop_url: str) -> Shopper:
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    return Shopper(page, shop_url)
