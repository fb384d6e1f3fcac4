"""How the environment becomes settings, and what of them is shown."""

from dataclasses import replace

import pytest

from app.cli.environment import child_environ
from app.settings import SettingsError, check_production, load_settings, masked

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


def test_the_embedded_redis_is_waited_for_longer_also_by_the_processes_it_is_started_for():
    own = load_settings({"REDIS_URL": "redis://redis.example"})
    assert (own.redis_wait_seconds, load_settings({}).redis_wait_seconds) == (0.2, 5)
    begun = replace(
        load_settings({}), redis_url="unix:///run/redis.sock", database_url="postgresql://db/shop"
    )
    assert load_settings(child_environ(begun)).redis_wait_seconds == 5


def test_secrets_are_never_shown():
    shown = masked(load_settings(STRIPE))
    assert "canary" not in str(shown)
    assert shown["stripe_publishable_key"] == "pk_live_shown"


def test_stripe_is_neither_needed_nor_in_the_way_in_production():
    bare = check_production(load_settings({"STOREFRONT_ENV": "production"}))
    assert check_production(load_settings({"STOREFRONT_ENV": "production", **STRIPE})) == bare


PAYPAL = {
    "PAYPAL_CLIENT_ID": "shown",
    "PAYPAL_CLIENT_SECRET": "paypal_canary",
    "PAYPAL_API_BASE": "https://paypal.example/",
    "PAYPAL_WEBHOOK_ID": "9XL90610J3647323C",
}


def test_paypal_is_read_whole_and_its_secret_not_shown():
    settings = load_settings(PAYPAL)
    assert settings.paypal_api_base == "https://paypal.example"
    assert "canary" not in str(masked(settings))
    assert masked(settings)["paypal_client_id"] == "shown"
    assert load_settings({}).paypal_client_id == ""


@pytest.mark.parametrize("name", ["PAYPAL_CLIENT_ID", "PAYPAL_CLIENT_SECRET"])
def test_half_of_paypals_keys_keep_the_shop_from_starting(name):
    with pytest.raises(SettingsError, match="PAYPAL_CLIENT_ID and PAYPAL_CLIENT_SECRET"):
        load_settings({name: "alone"})


def test_production_speaks_to_paypal_over_https_only():
    bare = check_production(load_settings({"STOREFRONT_ENV": "production"}))
    assert check_production(load_settings({"STOREFRONT_ENV": "production", **PAYPAL})) == bare
    plain = {"STOREFRONT_ENV": "production", **PAYPAL, "PAYPAL_API_BASE": "http://paypal.example"}
    (problem,) = set(check_production(load_settings(plain))) - set(bare)
    assert problem.startswith("PAYPAL_API_BASE")


LOGINS = {
    "GOOGLE_CLIENT_IDS": "web-client, app-client",
    "FACEBOOK_APP_ID": "4711",
    "FACEBOOK_APP_SECRET": "canary_of_facebook",
    "OIDC_PROVIDERS": "keycloak,my-company",
    "OIDC_KEYCLOAK_ISSUER": "https://login.example/realms/shop",
    "OIDC_KEYCLOAK_CLIENT_ID": "shop",
    "OIDC_KEYCLOAK_CLIENT_SECRET": "canary_of_keycloak",
    "OIDC_MY_COMPANY_ISSUER": "https://sso.example",
    "OIDC_MY_COMPANY_CLIENT_ID": "shop",
    "OIDC_MY_COMPANY_SCOPES": "openid email",
}


def test_login_providers_are_named_in_a_list_and_described_under_their_names():
    settings = load_settings(LOGINS)
    assert settings.google_client_ids == ("web-client", "app-client")
    keycloak, company = settings.oidc_providers
    assert (keycloak.issuer, keycloak.client_secret) == (
        "https://login.example/realms/shop",
        "canary_of_keycloak",
    )
    assert (company.name, company.client_secret, company.scopes) == ("my-company", "", ("openid", "email"))


def test_the_secrets_of_login_providers_are_never_shown():
    settings = load_settings(LOGINS)
    assert "canary" not in f"{masked(settings)} {settings.oidc_providers}"
    assert str(settings.oidc_providers[0]) == "keycloak (https://login.example/realms/shop)"


def test_the_keys_of_another_issuer_are_not_looked_for_at_google():
    assert load_settings({}).google_jwks_url.startswith("https://www.googleapis.com/")
    assert load_settings({"GOOGLE_ISSUER": "https://idp.example"}).google_jwks_url == ""


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"OIDC_KEYCLOAK_ISSUER": ""}, "OIDC_KEYCLOAK_ISSUER"),
        ({"OIDC_KEYCLOAK_CLIENT_ID": ""}, "OIDC_KEYCLOAK_CLIENT_ID"),
        ({"OIDC_KEYCLOAK_ISSUER": "login.example"}, "OIDC_KEYCLOAK_ISSUER"),
        ({"OIDC_KEYCLOAK_SCOPES": "email"}, "OIDC_KEYCLOAK_SCOPES"),
        ({"OIDC_PROVIDERS": "finish"}, "OIDC_PROVIDERS"),
        ({"OIDC_PROVIDERS": "../x"}, "OIDC_PROVIDERS"),
        ({"OIDC_PROVIDERS": "keycloak,keycloak"}, "OIDC_PROVIDERS"),
        ({"FACEBOOK_APP_SECRET": ""}, "FACEBOOK_APP_SECRET"),
        ({"FACEBOOK_APP_ID": ""}, "FACEBOOK_APP_ID"),
    ],
)
def test_half_a_login_provider_keeps_the_shop_from_starting(changed, named):
    with pytest.raises(SettingsError, match=named):
        load_settings(LOGINS | changed)


def test_production_believes_login_providers_over_https_only():
    plain = {
        "STOREFRONT_ENV": "production",
        "GOOGLE_ISSUER": "http://idp.example",
        "FACEBOOK_GRAPH_URL": "http://graph.example",
        "OIDC_PROVIDERS": "keycloak",
        "OIDC_KEYCLOAK_ISSUER": "http://login.example",
        "OIDC_KEYCLOAK_CLIENT_ID": "shop",
    }
    found = "\n".join(check_production(load_settings(plain)))
    for name in ("GOOGLE_ISSUER", "FACEBOOK_GRAPH_URL", "keycloak"):
        assert name in found


def test_passkeys_are_for_the_shops_host_or_a_domain_above_it():
    assert load_settings({}).passkey_domain == "localhost"
    shop = {
        "STOREFRONT_PUBLIC_URL": "https://api.shop.example",
        "STOREFRONT_SHOP_URL": "https://WWW.shop.example",
    }
    assert load_settings(shop).passkey_domain == "www.shop.example"
    above = load_settings({**shop, "STOREFRONT_PASSKEY_DOMAIN": "Shop.example"})
    assert above.passkey_domain == "shop.example"


@pytest.mark.parametrize("domain", ["example", "evilshop.example", "hop.example", "api.shop.example"])
def test_a_domain_that_no_browser_would_take_for_passkeys_keeps_the_shop_from_starting(domain):
    shop = {"STOREFRONT_SHOP_URL": "https://www.shop.example", "STOREFRONT_PASSKEY_DOMAIN": domain}
    with pytest.raises(SettingsError, match="STOREFRONT_PASSKEY_DOMAIN"):
        load_settings(shop)
