"""STOREFRONT_LIMITS: the built-in table, what is overridden in it, and what cannot be understood."""

import io

import pytest
from rich.console import Console

from app.cli.doctor import _print_settings
from app.settings import LIMITS, Limit, SettingsError, load_settings


def test_without_a_word_the_built_in_table_holds():
    assert load_settings({}).limits == LIMITS
    assert {limit.name for limit in LIMITS} >= {"login", "signup", "password", "lookup", "coupon", "forms"}


def test_what_is_named_is_overridden_and_the_rest_stays():
    limits = load_settings({"STOREFRONT_LIMITS": " login=50/60, forms = 7/5 "}).limits
    found = {limit.name: limit for limit in limits}
    assert found["login"] == Limit("login", 50, 60)
    assert found["forms"] == Limit("forms", 7, 5)
    assert {name: limit for name, limit in found.items() if name not in ("login", "forms")} == {
        limit.name: limit for limit in LIMITS if limit.name not in ("login", "forms")
    }


@pytest.mark.parametrize("word", ["off", "OFF", " off "])
def test_off_means_no_limits(word):
    assert load_settings({"STOREFRONT_LIMITS": word}).limits == ()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("login", "'login'"),
        ("login=5", "'login=5'"),
        ("login=5/60,off", "'off'"),
        ("login=-1/60", "'login=-1/60'"),
        ("login=5/1.5", "'login=5/1.5'"),
        ("login=\u0665/60", "login"),
        ("lokup=5/60", "no class 'lokup'; there are login"),
        ("login=0/60", "1 to 10000 calls"),
        ("login=10001/60", "1 to 10000 calls"),
        ("login=5/0", "1 to 86400 seconds"),
        ("login=5/86401", "1 to 86400 seconds"),
    ],
)
def test_what_cannot_be_understood_is_named_with_its_variable(value, told):
    with pytest.raises(SettingsError) as refused:
        load_settings({"STOREFRONT_LIMITS": value})
    assert "STOREFRONT_LIMITS" in str(refused.value)
    assert told in str(refused.value)


@pytest.mark.parametrize(("value", "shown"), [("lookup=99/30", "lookup=99/30"), ("off", "off")])
def test_doctor_shows_the_limits(value, shown):
    page = io.StringIO()
    settings = load_settings({"STOREFRONT_LIMITS": value})
    _print_settings(settings, Console(file=page, soft_wrap=True, width=500))
    line = next(line for line in page.getvalue().splitlines() if line.startswith("limits"))
    assert shown in line
