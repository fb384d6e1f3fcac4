"""The checkout on a phone and by keyboard alone: a code, a note, a second step, and what changed meanwhile."""

import re

from playwright.async_api import expect

from tests.browser.shopper import Shopper

FIELDS = {
    "Mail address": "ada@example.com",
    "First name": "Ada",
    "Last name": "Berg",
    "Street and number": "12 Mill Lane",
    "Postal code": "97201",
    "City": "Portland",
    "Phone": "5035550123",
}


async def fits(shopper: Shopper) -> None:
    """Nothing of the page is wider than the screen."""
    wide = await shopper.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{wide} pixels too wide at {shopper.page.url}"


async def test_a_keyboard_alone_buys_with_a_code_in_a_checkout_as_wide_as_a_phone(phone):
    page, press = phone.page, phone.page.keyboard.press
    await phone.visit("/products/tarnside-dome-tent")
    await phone.tab_to("Add to cart", role="button")
    await press("Enter")
    await expect(page.get_by_role("dialog").locator(".line")).to_have_count(1)
    await phone.tab_to("Go to checkout", role="link")
    await press("Enter")
    await expect(page.get_by_role("heading", name="Checkout", exact=True)).to_be_focused()
    await fits(phone)
    for label, value in FIELDS.items():
        await phone.tab_to(label, role="textbox")
        await press("ControlOrMeta+A")
        await page.keyboard.type(value)
    await phone.tab_to("Country", role="combobox")
    await page.keyboard.type("United States")
    await phone.tab_to("State", role="combobox")
    await page.keyboard.type("Oregon")
    await phone.tab_to("A word about your order", role="textbox")
    await page.keyboard.type("Please ring twice.")
    await phone.tab_to("Save and see shipping", role="button")
    await press("Enter")
    await expect(page.get_by_role("button", name=re.compile(r"^Pay \$"))).to_be_visible()
    await expect(page.locator("input[name=shipping]:checked")).to_be_focused()
    total = page.locator(".totals .total dd")
    first = await total.inner_text()
    await press("ArrowDown")
    await expect(total).not_to_have_text(first)
    await expect(page.locator("input[name=shipping]:checked")).to_be_focused()
    before = await total.inner_text()

    await phone.tab_to("Code for a discount", role="textbox")
    await page.keyboard.type("nothing-of-ours")
    await press("Enter")
    await expect(page.locator(".coupon [role=alert]")).not_to_be_empty()
    await phone.tab_to("Code for a discount", role="textbox")
    await press("ControlOrMeta+A")
    await page.keyboard.type("welcome10")
    await press("Enter")
    await expect(page.locator("[data-coupon]")).to_be_focused()
    await expect(page.locator("[data-coupon]")).to_contain_text("WELCOME10 takes off $")
    await expect(total).not_to_have_text(before)
    await fits(phone)
    await phone.tab_to("Take the code WELCOME10 off", role="button")
    await press("Enter")
    await expect(page.get_by_label("Code for a discount")).to_be_focused()
    await expect(total).to_have_text(before)
    await page.keyboard.type("WELCOME10")
    await press("Enter")
    await expect(page.locator("[data-coupon]")).to_be_focused()

    shown = await total.inner_text()
    await phone.tab_to("Card that works", role="radio")
    await press("ArrowDown")
    await press("ArrowDown")
    await expect(page.get_by_role("radio", name=re.compile("^Card with a second step"))).to_be_checked()
    await phone.tab_to(r"Pay \$", role="button")
    await press("Enter")
    await expect(page.get_by_role("heading", name="Confirm your payment")).to_be_visible()
    await fits(phone)
    await phone.tab_to("Approve", role="button")
    await press("Enter")
    await phone.expect_order()
    order = page.locator(".order")
    await expect(order.locator(".total dd")).to_have_text(shown)
    await expect(order).to_contain_text("Discount")
    await expect(order).to_contain_text("Please ring twice.")
    await fits(phone)
    # The browser logs the answer to a code that is none.
    assert [said for said in phone.angry if "status of 422" not in said] == []


async def test_a_basket_that_grew_in_another_window_is_shown_before_the_checkout_is_paid(phone):
    await phone.put_in_cart()
    await phone.go_to_payment()
    other = Shopper(await phone.page.context.new_page(), phone.url)
    await other.visit("/products/tarnside-dome-tent")
    await other.page.get_by_role("button", name="Add to cart").click()
    await expect(other.page.get_by_label("Quantity 2")).to_be_visible()
    before = await phone.page.locator(".totals .total dd").inner_text()
    await phone.pay_with("Card that works")
    told = phone.page.get_by_role("alert").filter(has_text="What is to be paid has changed meanwhile")
    await expect(told).to_be_focused()
    await expect(told).to_contain_text(re.compile(r"Tarnside Dome Tent.*: 2 in place of 1\."))
    await expect(phone.page.locator(".totals .total dd")).not_to_have_text(before)
    await phone.pay_with("Card that works")
    await phone.expect_order()
