"""What a shopper does on the page, in a shopper's words."""

import re
from typing import Any

from playwright.async_api import Page, expect

PRODUCT = "tarnside-dome-tent"


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
        await expect(self.page.locator("main:not([aria-busy]) h1")).to_be_visible()

    async def put_in_cart(self, handle: str = PRODUCT) -> None:
        await self.visit(f"/products/{handle}")
        await self.page.get_by_role("button", name="Add to cart").click()
        await expect(self.page.get_by_role("dialog").locator(".line")).not_to_have_count(0)

    async def go_to_payment(self) -> None:
        """From a filled cart to the last step, with the example address."""
        await self.page.get_by_role("link", name="Go to checkout").click()
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

    async def find_mail(self, subject: str) -> None:
        """Open the mail with this subject; the worker writes it some moments after the order."""
        await self.page.wait_for_function(
            """async (subject) => {
                const answer = await (await fetch("/dev/mails")).json();
                return answer.items.some((mail) => mail.subject.includes(subject));
            }""",
            arg=subject,
            polling=200,
        )
        await self.visit("/mails")
        await self.page.get_by_role("link", name=re.compile(re.escape(subject))).first.click()

    async def tab_to(self, name: str, *, role: str) -> None:
        """Press Tab until what has this role and name is focused."""
        wanted = self.page.get_by_role(role, name=re.compile(f"^{name}")).first  # type: ignore[arg-type]
        for _ in range(80):
            if await wanted.count() and await wanted.evaluate("node => node === document.activeElement"):
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not lead to the {role} {name!r}")
