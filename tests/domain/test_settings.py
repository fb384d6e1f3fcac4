"""How the environment becomes settings, and what of them is shown."""

from app.settings import check_production, load_settings, masked

STRIPE = {
    "STRIPE_SECRET_KEY": "sk_live_canary",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_shown",
    "STRIPE_API_BASE": "https://stripe.example/",
    "STRIPE_WEBHOOK_SECRETS": "whsec_canary_one, whsec_canary_two",
}


def test_stripe_takes_several_webhook_secrets():
    settings = load_settings(STRIPE)
    assert settings.stripe_webhook_secrets == ("whsec_canary_one", "whsec_canary_two")
    assert settings.stripe_api_base == "https://stripe.example"


def test_secrets_are_never_shown():
    shown = masked(load_settings(STRIPE))
    assert "canary" not in str(shown)
    assert shown["stripe_publishable_key"] == "pk_live_shown"


def test_stripe_is_neither_needed_nor_in_the_way_in_production():
    bare = check_production(load_settings({"STOREFRONT_ENV": "production"}))
    assert check_production(load_settings({"STOREFRONT_ENV": "production", **STRIPE})) == bare
