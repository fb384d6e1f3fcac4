"""What can go wrong with an account."""

from typing import Final

from app.kit.errors import LOGIN_FAILED, Forbidden, Invalid, Unauthenticated, declare

MOST_PASSKEYS: Final = 20

EMAIL_TAKEN: Final = declare(
    Invalid, "email_taken", "This mail address has an account already; log in instead."
)
WEAK_PASSWORD: Final = declare(
    Invalid, "weak_password", "This password would be guessed soon: it is common, or the account's own name."
)
TOKEN_NOT_USABLE: Final = declare(
    Invalid, "token_not_usable", "This link was used, replaced or is too old; ask for a new one."
)
PASSWORD_NEEDED: Final = declare(
    Invalid, "password_needed", "Choose a password; this store does not make one up."
)
WRONG_PASSWORD: Final = declare(Invalid, "wrong_password", "This is not the account's current password.")

PASSKEY_REFUSED: Final = declare(
    Invalid,
    "passkey_refused",
    "This passkey cannot be kept: it was made for another site, another login or by options that were used or are "
    "older than five minutes, or its device did not check who was there.",
)
PASSKEY_KNOWN: Final = declare(Invalid, "passkey_known", "This passkey is registered already.")
TOO_MANY_PASSKEYS: Final = declare(
    Invalid, "too_many_passkeys", f"An account has at most {MOST_PASSKEYS} passkeys."
)
FRESH_LOGIN_NEEDED: Final = declare(
    Forbidden,
    "fresh_login_needed",
    "The login is too old for this: send the account's password along, or log in anew.",
)


def login_failed() -> Unauthenticated:
    """The one answer to a wrong password, an unknown address and a secret that is not good any more."""
    return Unauthenticated(
        LOGIN_FAILED, "Mail address or password are wrong, or the link is not good any more."
    )


def code_refused() -> Unauthenticated:
    """The one answer to a code that is wrong, used, replaced or too old, and to an address without account."""
    return Unauthenticated(LOGIN_FAILED, "This code is wrong, was used or replaced, or is too old.")


def passkey_not_known() -> Unauthenticated:
    """The one answer to a passkey that opens no account, whatever is wrong with it."""
    return Unauthenticated(LOGIN_FAILED, "This passkey opens no account here.")


def passkey_refused(why: str) -> Invalid:
    return Invalid.at("credential", PASSKEY_REFUSED, why)


def email_taken() -> Invalid:
    return Invalid.at("email", EMAIL_TAKEN, "This mail address has an account already; log in instead.")


def token_not_usable(field: str) -> Invalid:
    return Invalid.at(
        field, TOKEN_NOT_USABLE, "This link was used, replaced or is too old. Ask for a new one."
    )
