"""The storefront API: shoppers, their single-page shop, mobile app and checkout page."""

from typing import Any

from app.api.storefront.account import AccountController
from app.api.storefront.addresses import AddressController
from app.api.storefront.back_in_stock import ask_for_return
from app.api.storefront.cancellations import CancellationController
from app.api.storefront.carts import CartController
from app.api.storefront.categories import CategoryController
from app.api.storefront.checkouts import CheckoutController
from app.api.storefront.collections import CollectionController
from app.api.storefront.coupons import (
    put_cart_coupon,
    put_checkout_coupon,
    remove_cart_coupon,
    remove_checkout_coupon,
)
from app.api.storefront.customers import CustomerController
from app.api.storefront.discounts import earned_gift
from app.api.storefront.gift_cards import (
    gift_card_balance,
    put_checkout_gift_card,
    remove_checkout_gift_card,
    store_credit,
    use_store_credit,
)
from app.api.storefront.login_codes import LoginCodeController
from app.api.storefront.logins import LoginController
from app.api.storefront.options import options
from app.api.storefront.orders import OrderController
from app.api.storefront.passkeys import PasskeyController, PasskeyLoginController
from app.api.storefront.passwords import PasswordController
from app.api.storefront.payment_methods import PaymentMethodController
from app.api.storefront.payments import PaymentController
from app.api.storefront.products import ProductController
from app.api.storefront.redirects import RedirectController
from app.api.storefront.referrals import ReferralController
from app.api.storefront.resolve import resolve
from app.api.storefront.search import popular, search, search_everything
from app.api.storefront.sessions import SessionController
from app.api.storefront.settings import headers, password_setting
from app.api.storefront.social import SocialController
from app.api.storefront.subscriptions import SubscriptionController
from app.api.storefront.variants import VariantController


def storefront_handlers() -> list[Any]:
    """Everything under /storefront/v1."""
    return [
        ProductController,
        VariantController,
        search,
        search_everything,
        popular,
        resolve,
        ask_for_return,
        CollectionController,
        CategoryController,
        CartController,
        put_cart_coupon,
        remove_cart_coupon,
        earned_gift,
        CheckoutController,
        put_checkout_coupon,
        remove_checkout_coupon,
        put_checkout_gift_card,
        remove_checkout_gift_card,
        use_store_credit,
        gift_card_balance,
        PaymentController,
        OrderController,
        CancellationController,
        LoginController,
        LoginCodeController,
        PasskeyController,
        PasskeyLoginController,
        CustomerController,
        SocialController,
        RedirectController,
        AddressController,
        PaymentMethodController,
        AccountController,
        PasswordController,
        SessionController,
        password_setting,
        headers,
        ReferralController,
        store_credit,
        SubscriptionController,
        options,
    ]
