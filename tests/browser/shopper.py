"""What a shopper does on the page, in a shopper's words."""

import re
from typing import Any
from uuid import uuid4

from playwright.async_api import FrameLocator, Locator, Page, expect

PRODUCT = "tarnside-dome-tent"
SHOWN = """() => {
    const main = document.querySelector("main:not([aria-busy])");
    return main && main.dataset.shown === (location.hash.slice(1).split("?")[0] || "/");
}"""
PASSWORD = "three quiet green lamps"


class Shopper:
    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.asked_for: list[str] = []
        self.angry: list[str] = []
        page.on("request", lambda request: self.asked_for.append(request.url))
        page.on("pageerror", lambda error: self.angry.append(str(error)))
        page.on("console", self._listen)

    def _listen(self, message: Any) -> None:
        # A 402 is how a payment is refused; the browser logs each such answer.
        if message.type == "error" and "status of 402" not in message.text:
            self.angry.append(message.text)

    async def visit(self, path: str = "/") -> None:
        await self.page.goto(f"{self.url}/#{path}")
        await self.arrive()

    async def follow(self, link: Locator) -> None:
        """Click a link of the page, and wait until what it leads to is there."""
        await link.click()
        await self.arrive()

    async def arrive(self) -> None:
        """Wait until the page shows what its address says: views have fields of the same names."""
        await self.page.wait_for_function(SHOWN)
        await expect(self.page.locator("main h1")).to_be_visible()

    async def put_in_cart(self, handle: str = PRODUCT) -> None:
        await self.visit(f"/products/{handle}")
        await self.page.get_by_role("button", name="Add to cart").click()
        await expect(self.page.get_by_role("dialog").locator(".line")).not_to_have_count(0)

    async def go_to_payment(self) -> None:
        """From a filled cart to the last step, with the example address."""
        await self.follow(self.page.get_by_role("link", name="Go to checkout"))
        await self.page.get_by_role("button", name="Fill in an example").click()
        await self.page.get_by_role("button", name="Save and see shipping").click()
        await expect(self.page.get_by_role("button", name=re.compile(r"^Pay \$"))).to_be_visible()

    async def pay_with(self, card: str) -> None:
        await self.page.get_by_role("radio", name=re.compile(f"^{card}")).check()
        await self.page.get_by_role("button", name=re.compile(r"^Pay \$")).click()

    async def expect_order(self) -> str:
        """The number of the order that the page shows now."""
        heading = self.page.get_by_role("heading", name=re.compile(r"^Order #\d+$"))
        await expect(heading).to_be_visible(timeout=20_000)
        await expect(self.page.locator(".thanks")).to_be_visible()
        return (await heading.inner_text()).removeprefix("Order ")

    async def wait_for_mail(self, subject: str, *, to: str = "") -> dict[str, str]:
        """The newest mail with this subject; the worker writes it some moments after its reason."""
        mail: dict[str, str] | None = await self.page.evaluate(
            """async ([subject, to]) => {
                const until = Date.now() + 15000;
                while (Date.now() < until) {
                    const { items } = await (await fetch("/dev/mails")).json();
                    const found = items.find((mail) => mail.subject.includes(subject) && mail.to.includes(to));
                    if (found) return found;
                    await new Promise((again) => setTimeout(again, 150));
                }
                return null;
            }""",
            [subject, to],
        )
        assert mail is not None, f"no mail {subject!r} has come"
        return mail

    async def find_mail(self, subject: str, *, to: str = "") -> FrameLocator:
        """Open that mail on the page."""
        mail = await self.wait_for_mail(subject, to=to)
        await self.visit(f"/mails/{mail['name']}")
        return self.page.frame_locator(".mail iframe")

    async def sign_up(self, name: str = "Robin") -> str:
        """Make an account; the mail address is nobody else's."""
        email = f"{name.lower()}-{uuid4().hex[:8]}@example.com"
        await self.visit("/signup")
        await self.page.get_by_label("Your name").fill(name)
        await self.page.get_by_label("Mail address").fill(email)
        await self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        await self.page.get_by_role("button", name="Make my account").click()
        await self.expect_account(name)
        return email

    async def carry_passkeys(self) -> None:
        """From now on the browser has a device that keeps passkeys, and whose owner always agrees."""
        devtools = await self.page.context.new_cdp_session(self.page)
        await devtools.send("WebAuthn.enable")
        device = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": device})

    async def log_in(self, email: str, password: str = PASSWORD) -> None:
        """From the login page, wherever it was reached from."""
        await self.page.get_by_label("Mail address").fill(email)
        await self.page.get_by_label("Password", exact=True).fill(password)
        await self.page.get_by_role("button", name="Log in", exact=True).click()

    async def log_out(self) -> None:
        await self.visit("/account")
        await self.page.get_by_role("button", name="Log out").click()
        await expect(self.page).to_have_url(f"{self.url}/#/")
        await expect(self.page.locator("[data-account]")).to_have_text("Log in")

    async def expect_account(self, name: str) -> None:
        """The page shows somebody's account, and says so in its header."""
        await expect(self.page.get_by_role("heading", name="Profile")).to_be_visible()
        await expect(self.page.locator("[data-account]")).to_have_text(name)

    async def tab_to(self, name: str, *, role: str) -> None:
        """Press Tab until what has this role and name is focused."""
        wanted = self.page.get_by_role(role, name=re.compile(f"^{name}")).first  # type: ignore[arg-type]
        for _ in range(80):
            if await wanted.count() and await wanted.evaluate("node => node === document.activeElement"):
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not lead to the {role} {name!r}")
