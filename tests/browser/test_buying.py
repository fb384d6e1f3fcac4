"""The whole way through the shop, as people walk it in a browser."""

import re

from playwright.async_api import expect


async def test_a_guest_buys_with_a_card_that_works(shopper):
    await shopper.visit()
    await shopper.page.locator("a.card", has_text="Tarnside Dome Tent").click()
    await shopper.page.get_by_role("radio", name="3 person").check()
    await shopper.page.get_by_role("button", name="Add to cart").click()
    await shopper.go_to_payment()
    await shopper.pay_with("Card that works")
    await shopper.expect_order()
    order = shopper.page.locator(".order")
    await expect(order).to_contain_text("3 person")
    await expect(order).to_contain_text("Payment paid")
    await expect(order.locator(".timeline li")).not_to_have_count(0)
    await expect(shopper.page.locator("[data-cart-count]")).to_have_text("0")
    assert shopper.angry == []


async def test_the_order_is_still_there_after_a_reload(shopper):
    await shopper.put_in_cart()
    await shopper.go_to_payment()
    await shopper.pay_with("Card that works")
    number = await shopper.expect_order()
    await shopper.page.reload()
    await expect(shopper.page.get_by_role("heading", name=f"Order {number}")).to_be_visible()
    await shopper.visit("/orders")
    await expect(shopper.page.get_by_role("link", name=f"Order {number}")).to_be_visible()


async def test_after_a_decline_another_card_pays(shopper):
    await shopper.put_in_cart()
    await shopper.go_to_payment()
    await shopper.pay_with("Card that is declined")
    await expect(shopper.page.get_by_role("alert").filter(has_text="refused")).to_be_visible()
    await shopper.pay_with("Card that works")
    await shopper.expect_order()


async def test_a_second_step_leads_over_the_bank_to_the_order(shopper):
    await shopper.put_in_cart()
    await shopper.go_to_payment()
    await shopper.pay_with("Card with a second step")
    await expect(shopper.page.get_by_role("heading", name="Confirm your payment")).to_be_visible()
    await shopper.page.get_by_role("button", name="Approve").click()
    await shopper.expect_order()
    assert shopper.angry == []


async def test_a_second_step_that_is_declined_leads_back_to_paying(shopper):
    await shopper.put_in_cart()
    await shopper.go_to_payment()
    await shopper.pay_with("Card with a second step")
    await shopper.page.get_by_role("button", name="Decline").click()
    await expect(shopper.page.get_by_role("alert").filter(has_text="refused")).to_be_visible()
    await shopper.pay_with("Card that works")
    await shopper.expect_order()


async def test_a_bank_that_answers_late_ends_in_an_order(shopper):
    await shopper.put_in_cart()
    await shopper.go_to_payment()
    await shopper.pay_with("Bank that answers late")
    await shopper.expect_order()


async def test_an_invoice_needs_no_card(shopper):
    await shopper.put_in_cart()
    await shopper.go_to_payment()
    await shopper.page.get_by_role("radio", name=re.compile("Invoice")).check()
    await expect(shopper.page.get_by_role("radio", name=re.compile("^Card that works"))).to_be_hidden()
    await shopper.page.get_by_role("button", name=re.compile(r"^Pay \$")).click()
    await shopper.expect_order()


async def test_a_gift_card_pays_and_can_be_taken_off(shopper):
    await shopper.put_in_cart()
    await shopper.go_to_payment()
    code = shopper.page.get_by_label("Gift card")
    await code.fill("NO-SUCH-CARD")
    await shopper.page.get_by_role("button", name="Use this card").click()
    await expect(shopper.page.get_by_text("This gift card cannot be used here")).to_be_visible()
    await code.fill("tarn and hearth gift")
    await shopper.page.keyboard.press("Enter")
    await expect(shopper.page.get_by_role("button", name="Take the card off")).to_be_focused()
    await expect(shopper.page.locator(".summary .totals")).to_contain_text("Left to pay$0.00")
    await shopper.page.keyboard.press("Enter")
    await expect(shopper.page.get_by_role("button", name=re.compile(r"^Pay \$"))).to_be_visible()
    await expect(code).to_be_focused()
    await code.fill("TARN-AND-HEARTH-GIFT")
    await shopper.page.keyboard.press("Enter")
    await shopper.page.get_by_role("button", name="Place the order").click()
    await shopper.expect_order()
    await expect(shopper.page.locator(".order")).to_contain_text("By gift card")


async def test_the_confirmation_mail_is_shown_and_leads_to_the_order(shopper):
    await shopper.put_in_cart()
    await shopper.go_to_payment()
    await shopper.pay_with("Card that works")
    number = await shopper.expect_order()
    await shopper.find_mail(f"Your order {number}")
    letter = shopper.page.frame_locator(".mail iframe")
    await expect(letter.locator("body")).to_contain_text("Tarnside Dome Tent")
    await shopper.page.evaluate("localStorage.clear()")
    await letter.get_by_role("link", name="Look at your order").click()
    await expect(shopper.page.get_by_role("heading", name=f"Order {number}")).to_be_visible()
    assert shopper.angry == []


async def test_the_link_in_a_reminder_opens_the_cart_that_was_left(shopper):
    await shopper.put_in_cart()
    uuid = await shopper.page.evaluate("JSON.parse(localStorage.getItem('cart'))")
    await shopper.page.evaluate("localStorage.clear()")
    await shopper.visit(f"/cart?cart_uuid={uuid}")
    cart = shopper.page.get_by_role("dialog")
    await expect(cart.locator(".line")).to_contain_text("Tarnside Dome Tent")
    await shopper.follow(cart.get_by_role("link", name="Go to checkout"))
    assert shopper.angry == []


async def test_a_mailed_link_finds_an_order_again(shopper):
    await shopper.put_in_cart()
    await shopper.go_to_payment()
    await shopper.pay_with("Card that works")
    number = await shopper.expect_order()
    await shopper.visit("/orders")
    await shopper.page.get_by_label("Order number").fill(number)
    await shopper.page.get_by_label("Mail address").fill("robin@example.com")
    await shopper.page.get_by_role("button", name="Send me the link").click()
    await expect(shopper.page.get_by_text("a link is on its way")).to_be_visible()
    await shopper.find_mail(f"Your link to order {number}")


async def test_a_keyboard_alone_can_buy(shopper):
    press = shopper.page.keyboard.press
    await shopper.visit()
    await shopper.tab_to("Tarnside Dome Tent", role="link")
    await press("Enter")
    await expect(shopper.page.get_by_role("heading", name="Tarnside Dome Tent")).to_be_focused()
    await shopper.tab_to("2 person", role="radio")
    await press("ArrowRight")
    await expect(shopper.page.get_by_role("radio", name="3 person")).to_be_checked()
    await shopper.tab_to("Add to cart", role="button")
    await press("Enter")
    await expect(shopper.page.get_by_role("dialog").locator(".line")).to_have_count(1)
    await shopper.tab_to("One more of", role="button")
    await press("Enter")
    await expect(shopper.page.get_by_label("Quantity 2")).to_be_visible()
    await shopper.tab_to("Go to checkout", role="link")
    await press("Enter")
    await expect(shopper.page.get_by_role("heading", name="Checkout", exact=True)).to_be_focused()
    await shopper.tab_to("Fill in an example", role="button")
    await press("Enter")
    await expect(shopper.page.get_by_role("button", name="Save and see shipping")).to_be_focused()
    await press("Enter")
    await shopper.tab_to("Card that works", role="radio")
    await shopper.tab_to(r"Pay \$", role="button")
    await press("Enter")
    await shopper.expect_order()
