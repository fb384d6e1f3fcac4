"""What a mail address looks like: checked by form only (RFC 5321, RFC 6531), nothing is asked of the network."""

from email_validator import EmailNotValidError, validate_email


class MailAddressError(ValueError):
    """A text is no mail address; the message says why in a sentence for people."""


def check_mail_address(text: str) -> str:
    """The address in its normal form: the domain in lower case, Unicode composed, the local part as given."""
    try:
        return validate_email(text.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise MailAddressError(str(error)) from None


def match_key(address: str) -> str:
    """Two addresses with the same key are one person's: everything in lower case."""
    return address.lower()
