"""Accounts as people use them: made, proven, entered in every way there is, and left."""

import re
from urllib.parse import urlsplit
from uuid import uuid4

from playwright.async_api import expect

from tests.browser.shopper import PASSWORD

PAGES = ["/signup", "/login", "/password/forgot", "/account", "/account/addresses", "/account/addresses/new"]
PAGES += ["/account/passkeys", "/account/sessions", "/account/orders", "/account/referral", "/checkout"]


async def test_a_new_account_is_proven_by_its_mail_and_entered_by_its_password(shopper):
    email = await shopper.sign_up()
    await expect(shopper.page.get_by_text("not confirmed yet")).to_be_visible()
    letter = await shopper.find_mail("Please confirm your mail address", to=email)
    await letter.get_by_role("link", name="Confirm my address").click()
    await expect(shopper.page.get_by_text("Your mail address is confirmed")).to_be_visible()
    assert "token" not in shopper.page.url
    await shopper.page.get_by_role("main").get_by_role("link", name="Your account").click()
    await expect(shopper.page.get_by_text("confirmed", exact=True)).to_be_visible()
    await shopper.log_out()
    await shopper.visit("/login")
    await shopper.log_in(email)
    await shopper.expect_account("Robin")
    assert shopper.angry == []


async def test_the_link_that_confirms_an_address_needs_no_login(shopper):
    email = await shopper.sign_up()
    await shopper.log_out()
    letter = await shopper.find_mail("Please confirm your mail address", to=email)
    await letter.get_by_role("link", name="Confirm my address").click()
    await expect(shopper.page.get_by_text("Your mail address is confirmed")).to_be_visible()
    assert "token" not in shopper.page.url
    await shopper.page.get_by_role("main").get_by_role("link", name="Log in").click()
    await shopper.log_in(email)
    await shopper.visit("/account")
    await expect(shopper.page.get_by_text("confirmed", exact=True)).to_be_visible()
    assert shopper.angry == []


async def test_the_login_is_a_cookie_that_no_script_can_read(shopper):
    await shopper.sign_up()
    seen = await shopper.page.evaluate(
        "document.cookie + JSON.stringify({...localStorage, ...sessionStorage})"
    )
    held = await shopper.page.context.cookies()
    secrets = [one["value"] for one in held if one["name"] == "__Host-storefront"]
    assert secrets
    assert not any(secret in seen for secret in secrets)


async def test_a_login_that_fails_says_so_and_keeps_what_was_typed(shopper):
    email = await shopper.sign_up()
    await shopper.log_out()
    await shopper.visit("/login")
    await shopper.log_in(email, "not the right one")
    await expect(shopper.page.locator("main .fault", has_text="are wrong")).to_be_visible()
    await expect(shopper.page.get_by_label("Password", exact=True)).to_be_focused()
    await expect(shopper.page.get_by_label("Mail address")).to_have_value(email)
    await shopper.log_in(email)
    await shopper.expect_account("Robin")


async def test_a_password_that_everybody_tries_is_refused_at_its_field(shopper):
    await shopper.visit("/signup")
    await shopper.page.get_by_label("Your name").fill("Robin")
    await shopper.page.get_by_label("Mail address").fill("robin@nowhere")
    await shopper.page.get_by_label("Password", exact=True).fill("password1")
    await shopper.page.get_by_role("button", name="Make my account").click()
    await expect(shopper.page.locator('[data-fault="email"]')).not_to_be_empty()
    await shopper.page.get_by_label("Mail address").fill(f"robin-{uuid4().hex}@example.com")
    await shopper.page.get_by_role("button", name="Make my account").click()
    await expect(shopper.page.locator('[data-fault="password"]')).to_contain_text("everybody tries")
    await expect(shopper.page.get_by_label("Password", exact=True)).to_be_focused()


async def test_a_mailed_code_logs_in_and_proves_the_address(shopper):
    email = await shopper.sign_up()
    await shopper.log_out()
    await shopper.visit("/login")
    await shopper.page.get_by_label("Mail address").fill(email)
    await shopper.page.get_by_role("button", name="Mail me a code").click()
    field = shopper.page.get_by_label("Code")
    await expect(field).to_be_focused()
    await expect(field).to_have_attribute("autocomplete", "one-time-code")
    mail = await shopper.wait_for_mail("is your code", to=email)
    code = re.match(r"\d{6}", mail["subject"])
    assert code
    await field.fill(code[0])
    await shopper.page.get_by_role("button", name="Log in", exact=True).click()
    await shopper.expect_account("Robin")
    await expect(shopper.page.get_by_text("confirmed", exact=True)).to_be_visible()
    assert shopper.angry == []


async def test_a_passkey_is_added_and_logs_in_without_a_word_typed(shopper):
    await shopper.carry_passkeys()
    await shopper.sign_up()
    page = shopper.page
    await shopper.visit("/account/passkeys")
    await page.get_by_label("A name for it").fill("Pocket key")
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.locator(".entries")).to_contain_text("Pocket key")
    await shopper.log_out()
    await shopper.visit("/login")
    await page.get_by_role("button", name="Use a passkey").click()
    await shopper.expect_account("Robin")
    await shopper.visit("/account/passkeys")
    await expect(page.locator(".entries")).to_contain_text("last used")
    await page.get_by_role("button", name="Remove the passkey Pocket key").click()
    await expect(page.locator(".entries")).to_have_count(0)
    assert shopper.angry == []
    await shopper.log_out()
    await shopper.visit("/login")
    await page.get_by_role("button", name="Use a passkey").click()
    await expect(page.locator("main .fault").filter(has_text=re.compile(".+"))).to_be_visible()
    await expect(page.locator("[data-account]")).to_have_text("Log in")


async def test_a_provider_makes_an_account_and_opens_it_the_next_time(shopper):
    email = f"ada-{uuid4().hex[:8]}@example.com"
    await shopper.put_in_cart()
    for _ in range(2):
        await shopper.visit("/login")
        await shopper.page.get_by_role("link", name="Continue with Test provider").click()
        await expect(shopper.page.get_by_role("heading", name="Who are you?")).to_be_visible()
        await shopper.page.get_by_label("Mail address").fill(email)
        await shopper.page.get_by_role("button", name="Log in").click()
        await shopper.expect_account("Ada Berg")
        await expect(shopper.page.get_by_text("confirmed", exact=True)).to_be_visible()
        await expect(shopper.page.locator("[data-cart-count]")).to_have_text("1")
        assert "code" not in shopper.page.url
        await shopper.log_out()
    assert shopper.angry == []


async def test_google_opens_an_account_by_redirect(shopper, google):
    google.claims = {"email": f"ada-{uuid4().hex[:8]}@example.com", "sub": uuid4().hex}
    await shopper.visit("/signup")
    await shopper.page.get_by_role("link", name="Continue with Google").click()
    await shopper.expect_account("Ada")
    assert google.calls.count("token") == 1
    assert shopper.angry == []


async def test_an_address_that_a_provider_has_not_verified_needs_the_password(shopper):
    email = await shopper.sign_up()
    await shopper.log_out()
    await shopper.visit("/login")
    await shopper.page.get_by_role("link", name="Continue with Test provider").click()
    await shopper.page.get_by_label("Mail address").fill(email)
    await shopper.page.get_by_label("The provider has verified").uncheck()
    await shopper.page.get_by_role("button", name="Log in").click()
    await expect(shopper.page.get_by_role("heading", name="Is this your account?")).to_be_visible()
    await shopper.page.get_by_label("Password", exact=True).fill(PASSWORD)
    await shopper.page.get_by_role("button", name="Link and log in").click()
    await shopper.expect_account("Robin")


async def test_a_login_that_is_left_at_the_provider_leads_back(shopper):
    await shopper.visit("/login")
    await shopper.page.get_by_role("link", name="Continue with Test provider").click()
    await shopper.page.get_by_role("button", name="Cancel").click()
    await expect(shopper.page.get_by_text("without finishing it")).to_be_visible()
    await shopper.follow(shopper.page.get_by_role("link", name="Log in another way"))
    await expect(shopper.page.get_by_role("heading", name="Log in")).to_be_visible()
    assert shopper.angry == []


async def test_a_forgotten_password_is_replaced_by_a_mailed_link(shopper):
    email = await shopper.sign_up()
    await shopper.log_out()
    await shopper.visit("/login")
    await shopper.follow(shopper.page.get_by_role("link", name="Forgot your password?"))
    await shopper.page.get_by_label("Mail address").fill(email)
    await shopper.page.get_by_role("button", name="Send me the link").click()
    await expect(shopper.page.get_by_text("the link is on its way")).to_be_visible()
    letter = await shopper.find_mail("Your new password", to=email)
    await letter.get_by_role("link", name="Choose a new password").click()
    await shopper.page.get_by_label("New password").fill("four brisk amber kettles")
    await shopper.page.get_by_role("button", name="Keep it and log in").click()
    await shopper.expect_account("Robin")
    await shopper.log_out()
    await shopper.visit("/login")
    await shopper.log_in(email, "four brisk amber kettles")
    await shopper.expect_account("Robin")
    assert shopper.angry == []
    # The link is over, and its page says what to do.
    await shopper.find_mail("Your new password", to=email)
    await letter.get_by_role("link", name="Choose a new password").click()
    await expect(shopper.page.get_by_role("heading", name="This link is over")).to_be_visible()


async def test_whoever_is_led_to_the_login_goes_on_where_they_wanted_to(shopper):
    email = await shopper.sign_up()
    await shopper.log_out()
    await shopper.visit("/account/sessions")
    await shopper.log_in(email)
    await expect(shopper.page.get_by_role("heading", name="Devices")).to_be_visible()
    assert shopper.angry == []


async def test_addresses_are_added_changed_made_the_default_and_removed(shopper):
    await shopper.sign_up()
    page = shopper.page
    for street, city in (("12 Tarn Lane", "Portland"), ("7 Quay Street", "Salem")):
        await shopper.visit("/account/addresses")
        await shopper.follow(page.get_by_role("link", name="Add an address"))
        await page.get_by_label("Country").select_option("US")
        for label, typed in (
            ("First name", "Robin"),
            ("Last name", "Harlow"),
            ("Street and number", street),
            ("Postal code", "97205"),
            ("City", city),
            ("Phone", "(503) 555-0142"),
        ):
            await page.get_by_label(label).fill(typed)
        await page.get_by_label("State").select_option("US-OR")
        await page.get_by_role("button", name="Keep").click()
        await expect(page.locator("address", has_text=street)).to_be_visible()
    quay, tarn = (page.locator("li", has_text=street) for street in ("7 Quay Street", "12 Tarn Lane"))
    await expect(tarn.locator(".state")).to_have_text("Default")
    await quay.get_by_role("button", name="Make default").click()
    await expect(quay.locator(".state")).to_have_text("Default")
    await expect(tarn.get_by_role("button", name="Make default")).to_be_visible()
    await shopper.follow(quay.get_by_role("link", name="Change"))
    await expect(page.get_by_label("State")).to_have_value("US-OR")
    await page.get_by_label("City").fill("Eugene")
    await page.get_by_label("Postal code").fill("1")
    await page.get_by_role("button", name="Keep").click()
    await expect(page.locator('[data-fault="zip"]')).not_to_be_empty()
    await page.get_by_label("Postal code").fill("97401")
    await page.get_by_role("button", name="Keep").click()
    await expect(quay).to_contain_text("Eugene")
    await expect(quay.locator(".state")).to_have_text("Default")
    await tarn.get_by_role("button", name=re.compile("^Remove")).click()
    await expect(tarn).to_have_count(0)
    # What is kept is what the checkout begins with.
    await shopper.put_in_cart()
    await shopper.follow(page.get_by_role("link", name="Go to checkout"))
    await expect(page.get_by_label("Street and number")).to_have_value("7 Quay Street")
    await expect(page.get_by_label("City")).to_have_value("Eugene")
    await page.get_by_role("button", name="Save and see shipping").click()
    await shopper.pay_with("Card that works")
    await shopper.expect_order()


async def test_the_guests_cart_is_the_customers_after_a_login(shopper):
    email = await shopper.sign_up()
    await shopper.put_in_cart()
    await shopper.log_out()
    count = shopper.page.locator("[data-cart-count]")
    await expect(count).to_have_text("0")
    await shopper.put_in_cart("fellside-wool-blanket")
    await shopper.follow(shopper.page.get_by_role("link", name="Go to checkout"))
    await shopper.follow(shopper.page.get_by_role("main").get_by_role("link", name="Log in"))
    await shopper.log_in(email)
    await expect(shopper.page.get_by_role("heading", name="Checkout", exact=True)).to_be_visible()
    await expect(count).to_have_text("2")
    for title in ("Tarnside Dome Tent", "Fellside Wool Blanket"):
        await expect(shopper.page.locator(".summary .line", has_text=title)).to_have_count(1)
    await expect(shopper.page.get_by_role("main").get_by_label("Mail address")).to_have_value(email)


async def test_a_guest_makes_an_account_on_the_way_through_the_checkout(shopper):
    email = f"robin-{uuid4().hex[:8]}@example.com"
    await shopper.put_in_cart()
    page = shopper.page
    await shopper.follow(page.get_by_role("link", name="Go to checkout"))
    await page.get_by_role("button", name="Fill in an example").click()
    await page.get_by_role("main").get_by_label("Mail address").fill(email)
    await page.get_by_text("Make an account with it").click()
    await page.get_by_label("Password", exact=False).fill(PASSWORD)
    await page.get_by_role("button", name="Save and see shipping").click()
    await expect(page.locator("[data-account]")).to_have_text("Robin")
    await shopper.pay_with("Card that works")
    await shopper.expect_order()
    await shopper.log_out()
    await shopper.visit("/login")
    await shopper.log_in(email)
    await shopper.expect_account("Robin")
    assert shopper.angry == []


async def test_another_device_is_logged_out_from_the_list(shopper, phone):
    email = await shopper.sign_up()
    await phone.visit("/login")
    await phone.log_in(email)
    await phone.expect_account("Robin")
    await shopper.visit("/account/sessions")
    others = shopper.page.locator(".entries li").filter(has_not_text="this one")
    await expect(others).to_have_count(1)
    await others.get_by_role("button", name=re.compile("^Log out")).click()
    await expect(others).to_have_count(0)
    await phone.page.reload()
    await expect(phone.page.get_by_role("heading", name="Log in")).to_be_visible()
    await expect(phone.page.locator("[data-account]")).to_have_text("Log in")
    await shopper.visit("/account")
    await shopper.expect_account("Robin")


async def test_the_profile_and_the_password_are_changed(shopper):
    email = await shopper.sign_up()
    page = shopper.page
    await page.get_by_label("What we call you").fill("Robin H.")
    await page.get_by_label("Birthday").fill("1990-04-05")
    await page.get_by_label("Gender").select_option("other")
    await page.get_by_label("Country").select_option("GB")
    await page.get_by_role("button", name="Keep").click()
    await expect(page.locator("[data-account]")).to_have_text("Robin H.")
    await page.reload()
    await expect(page.get_by_label("Birthday")).to_have_value("1990-04-05")
    await expect(page.get_by_label("Country")).to_have_value("GB")
    await shopper.visit("/account/passkeys")
    await page.get_by_label("Current password").fill(PASSWORD)
    await page.get_by_label("New password").fill("four brisk amber kettles")
    await page.get_by_role("button", name="Change it").click()
    await expect(page.get_by_text("Changed.")).to_be_visible()
    await shopper.log_out()
    await shopper.visit("/login")
    await shopper.log_in(email, "four brisk amber kettles")
    await shopper.expect_account("Robin H.")
    assert shopper.angry == []


async def test_a_new_mail_address_counts_once_its_mail_is_opened(shopper):
    await shopper.sign_up()
    new = f"new-{uuid4().hex[:8]}@example.com"
    await shopper.page.get_by_text("Use another address").click()
    await shopper.page.get_by_label("New mail address").fill(new)
    await shopper.page.get_by_role("button", name="Change it").click()
    await expect(shopper.page.get_by_text(f"It will be {new}")).to_be_visible()
    letter = await shopper.find_mail("Please confirm your new mail address", to=new)
    await letter.get_by_role("link", name="Use this address").click()
    await expect(shopper.page.get_by_text("Your mail address is confirmed")).to_be_visible()
    await shopper.visit("/account")
    await expect(shopper.page.get_by_role("main")).to_contain_text(new)
    await expect(shopper.page.get_by_text("confirmed", exact=True)).to_be_visible()


async def test_an_account_can_be_taken_along_and_closed(shopper):
    email = await shopper.sign_up()
    page = shopper.page
    async with page.expect_download() as begun:
        await page.get_by_role("link", name="Take it along").click()
    taken = await begun.value
    assert email in (await taken.path()).read_text("utf-8")
    await page.get_by_text("Close it for good").click()
    await page.get_by_label("Current password").fill(PASSWORD)
    await page.get_by_role("button", name="Close my account").click()
    await expect(page.locator("[data-account]")).to_have_text("Log in")
    await shopper.visit("/login")
    await shopper.log_in(email)
    await expect(page.locator("main .fault", has_text="are wrong")).to_be_visible()


async def test_a_keyboard_alone_can_log_in(shopper):
    email = await shopper.sign_up()
    await shopper.log_out()
    await shopper.visit()
    press, write = shopper.page.keyboard.press, shopper.page.keyboard.type
    await shopper.tab_to("Log in", role="link")
    await press("Enter")
    await expect(shopper.page.get_by_role("heading", name="Log in")).to_be_focused()
    await press("Tab")
    await write(email)
    await press("Tab")
    await write(PASSWORD)
    await press("Enter")
    await expect(shopper.page.get_by_role("heading", name="Profile")).to_be_focused()


async def test_no_account_page_scrolls_sideways_on_a_phone(phone):
    await phone.sign_up("Bartholomew-Maximilian")
    for view in PAGES:
        await phone.visit(view)
        wide = await phone.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, view
    here = urlsplit(phone.url).netloc
    assert {urlsplit(address).netloc for address in phone.asked_for} == {here}
    assert phone.angry == []


async def test_an_invitation_is_counted_rewarded_and_paid_out_on_request(shopper, phone):
    page = shopper.page
    await shopper.sign_up()
    await shopper.visit("/account/referral")
    await expect(page.locator("[data-balance]")).to_have_text("$0.00")
    link = await page.get_by_label("Your link").input_value()
    # A friend opens the link, makes an account, and buys.
    friend = f"juno-{uuid4().hex[:8]}@example.com"
    await phone.page.goto(link)
    await phone.page.get_by_label("Your name").fill("Juno")
    await phone.page.get_by_label("Mail address").fill(friend)
    await phone.page.get_by_label("Password", exact=True).fill(PASSWORD)
    await phone.page.get_by_role("button", name="Make my account").click()
    await phone.expect_account("Juno")
    await phone.put_in_cart()
    await phone.go_to_payment()
    await phone.pay_with("Card that works")
    number = await phone.expect_order()
    await phone.visit("/account/orders")
    await expect(phone.page.get_by_role("link", name=f"Order {number}")).to_be_visible()

    # The reward is a job of the worker, some moments after the order.
    async def earned():
        await page.reload()
        await expect(page.get_by_text("Came by it: 1")).to_be_visible()
        return await page.get_by_label("Amount to be paid out").count()

    for _ in range(50):
        if await earned():
            break
    await page.get_by_label("Amount to be paid out").fill("1.2.3")
    await page.get_by_role("button", name="Ask to be paid out").click()
    await expect(page.locator('[data-fault="amount"]')).to_contain_text("Write it as")
    before = await page.locator("[data-balance]").inner_text()
    await page.get_by_label("Amount to be paid out").fill("1.50")
    await page.get_by_role("button", name="Ask to be paid out").click()
    await expect(page.get_by_text("Asked to be paid out")).to_be_visible()
    await expect(page.locator("[data-balance]")).not_to_have_text(before)


async def test_the_login_field_offers_passkeys(shopper):
    await shopper.visit("/login")
    field = shopper.page.get_by_label("Mail address")
    await expect(field).to_have_attribute("autocomplete", "username webauthn")
