"""How the page behaves: finding things, keeping the cart, fitting on a phone, saying what is wrong."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import expect

from tests.browser.shopper import PRODUCT

VIEWS = [
    "/",
    "/category/outdoor",
    "/collections/sale",
    "/search?q=lamp",
    f"/products/{PRODUCT}",
    "/checkout",
    "/orders",
    "/mails",
    "/nowhere",
]


async def test_search_finds_while_typing(shopper):
    await shopper.visit()
    field = shopper.page.get_by_role("searchbox")
    await field.press_sequentially("hammo")
    await expect(shopper.page.locator("a.card").first).to_contain_text("Hammock")
    await expect(field).to_be_focused()
    assert "q=hammo" in shopper.page.url
    await field.fill("zzzzqqqq")
    await expect(shopper.page.get_by_text("Nothing of ours answers")).to_be_visible()


async def test_a_category_narrows_the_shelves(shopper):
    await shopper.visit()
    await shopper.page.get_by_label("Shelves").get_by_role("link", name="Outdoor").click()
    await expect(shopper.page.get_by_role("heading", name="Outdoor")).to_be_visible()
    await expect(shopper.page.locator("a.card")).not_to_have_count(0)
    await shopper.page.get_by_label("Sort by").select_option("price asc")
    await expect(shopper.page).to_have_url(re.compile("order_by=price"))
    await expect(shopper.page.locator("a.card")).not_to_have_count(0)


async def test_filters_narrow_a_category(shopper):
    await shopper.visit("/category/outdoor")
    cards = shopper.page.locator("a.card")
    before = await cards.count()
    await shopper.page.get_by_text("Narrow down").click()
    await shopper.page.get_by_role("checkbox", name=re.compile("^Navy")).check()
    await expect(shopper.page.get_by_text("Narrowed down by 1")).to_be_visible()
    await expect(shopper.page.get_by_role("checkbox", name=re.compile("^Navy"))).to_be_focused()
    assert 0 < await cards.count() < before
    await shopper.page.get_by_role("link", name="Show all again").click()
    await expect(cards).to_have_count(before)


async def test_more_products_come_on_demand_and_none_twice(shopper):
    await shopper.visit()
    cards = shopper.page.locator("a.card")
    before = await cards.count()
    await shopper.page.get_by_role("button", name="Show more").click()
    await expect(cards).not_to_have_count(before)
    links = await cards.evaluate_all("cards => cards.map((card) => card.getAttribute('href'))")
    assert len(links) == len(set(links)) > before


async def test_the_cart_survives_a_reload(shopper):
    await shopper.put_in_cart()
    await shopper.page.reload()
    await expect(shopper.page.locator("[data-cart-count]")).to_have_text("1")
    await shopper.page.get_by_role("button", name=re.compile("^Cart")).click()
    drawer = shopper.page.get_by_role("dialog")
    await expect(drawer.locator(".line")).to_contain_text("Tarnside Dome Tent")
    await drawer.get_by_role("button", name=re.compile("^Remove")).click()
    await expect(drawer).to_contain_text("Nothing in it yet")


async def test_a_choice_of_options_changes_price_and_address(shopper):
    await shopper.visit(f"/products/{PRODUCT}")
    price = shopper.page.locator(".price-box")
    before = await price.inner_text()
    await shopper.page.get_by_role("radio", name="4 person").check()
    await expect(price).not_to_have_text(before)
    await expect(shopper.page).to_have_url(re.compile(r"variant=\d+"))


async def test_faults_stand_at_their_fields(shopper):
    await shopper.put_in_cart()
    await shopper.page.get_by_role("link", name="Go to checkout").click()
    await shopper.page.get_by_role("button", name="Fill in an example").click()
    await shopper.page.get_by_label("Mail address").fill("robin@nowhere")
    await shopper.page.get_by_label("Phone").fill("12")
    await shopper.page.get_by_role("button", name="Save and see shipping").click()
    await expect(shopper.page.locator('[data-fault="shipping_address.phone"]')).not_to_be_empty()
    await expect(shopper.page.locator('[data-fault="email"]')).not_to_be_empty()
    await expect(shopper.page.get_by_label("Mail address")).to_be_focused()


async def test_a_quantity_over_stock_says_how_many_are_left(shopper):
    await shopper.visit(f"/products/{PRODUCT}")
    await shopper.page.get_by_label("Quantity").fill("900")
    await shopper.page.get_by_role("button", name="Add to cart").click()
    await expect(shopper.page.get_by_role("alert").filter(has_text="We have only")).to_be_visible()


async def test_an_address_that_leads_nowhere_says_so(shopper):
    await shopper.visit("/products/there-is-no-such-thing")
    await expect(shopper.page.get_by_role("heading", name="There is nothing here")).to_be_visible()


@pytest.mark.parametrize("view", VIEWS)
async def test_nothing_scrolls_sideways_on_a_phone(phone, view):
    await phone.put_in_cart()
    await phone.page.keyboard.press("Escape")
    await phone.visit(view)
    wide = await phone.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 0


async def test_a_phone_can_buy(phone):
    await phone.put_in_cart()
    await phone.go_to_payment()
    await phone.pay_with("Card that works")
    await phone.expect_order()
    assert await phone.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("view", ["/", "/search?q=tent", f"/products/{PRODUCT}", "/mails"])
async def test_the_page_asks_nobody_else_and_complains_of_nothing(shopper, view):
    await shopper.visit(view)
    await shopper.page.wait_for_load_state("networkidle")
    here = urlsplit(shopper.url).netloc
    assert {urlsplit(address).netloc for address in shopper.asked_for} == {here}
    assert shopper.angry == []


async def test_every_picture_on_the_first_page_is_shown(shopper):
    await shopper.visit()
    await shopper.page.wait_for_load_state("networkidle")
    broken = await shopper.page.locator("main img[loading=eager]").evaluate_all(
        "images => images.filter((one) => one.complete && !one.naturalWidth).map((one) => one.src)"
    )
    assert broken == []


@pytest.mark.parametrize("width", [320, 360, 415])
async def test_the_shops_name_is_whole_on_a_narrow_phone(phone, width):
    await phone.page.set_viewport_size({"width": width, "height": 740})
    await phone.visit()
    brand = phone.page.locator(".brand span")
    await expect(brand).not_to_have_text("Shop")
    assert await brand.evaluate("node => node.scrollWidth <= node.clientWidth + 1")
    for name in ("Orders", "Log in"):
        await expect(phone.page.locator(".tools").get_by_role("link", name=name)).to_be_in_viewport(ratio=1)
    await expect(phone.page.get_by_role("button", name=re.compile("^Cart"))).to_be_in_viewport(ratio=1)
    wide = await phone.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 0
