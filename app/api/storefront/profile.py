"""A customer as they see themselves: the object that every login and the profile answer."""

from typing import Any

import msgspec

from app.domain.accounts.queries import AccountView
from app.kit.places import country_name


class StorefrontCustomer(msgspec.Struct, kw_only=True):
    """`new_email` takes effect once the link that was mailed there is opened."""

    id: int
    username: str
    email: str
    email_verified: bool
    new_email: str | None
    has_password: bool
    firstname: str | None
    lastname: str | None
    birthday: str | None
    gender: str | None
    detected_country: str | None
    country_code: str | None
    relationship: str | None
    subscribed: bool
    shipping_info: list[dict[str, Any]]


class StorefrontLogin(StorefrontCustomer, kw_only=True):
    """`auth_key` is the bearer; empty where the login was asked for as a cookie."""

    auth_key: str


def customer_fields(account: AccountView) -> dict[str, Any]:
    return {
        "id": account.id,
        "username": account.username,
        "email": account.email,
        "email_verified": account.is_verified,
        "new_email": account.new_email,
        "has_password": account.has_password,
        "firstname": account.firstname or None,
        "lastname": account.lastname or None,
        "birthday": account.birthday.isoformat() if account.birthday else None,
        "gender": account.gender,
        "detected_country": country_name(account.country) if account.country else None,
        "country_code": account.country,
        "relationship": account.relationship,
        "subscribed": account.subscribed,
        "shipping_info": [booked.as_json() for booked in account.addresses],
    }


def show_customer(account: AccountView) -> StorefrontCustomer:
    return StorefrontCustomer(**customer_fields(account))
