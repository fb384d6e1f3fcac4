"""On which pages passkeys of a domain are taken."""

from app.integrations.passkeys import passkey_origins

ANDROID = "android:apk-key-hash:qSNKHkC0pMzW0fOZ0q3nSq6XGYpvXM0nLl4vRa1sQvY"


def test_pages_below_the_domain_count_and_apps_by_their_key_and_nothing_that_only_looks_alike():
    origins = [
        "https://shop.example",
        "https://www.shop.example:8443",
        "https://evilshop.example",
        "https://shop.example.evil",
        "https://other.example",
        "",
        ANDROID,
    ]
    assert passkey_origins("shop.example", origins) == {
        "https://shop.example",
        "https://www.shop.example:8443",
        ANDROID,
    }


def test_development_runs_on_localhost_at_any_port():
    assert passkey_origins("localhost", ["http://localhost:8000", "http://127.0.0.1:8000"]) == {
        "http://localhost:8000"
    }
