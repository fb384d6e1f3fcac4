"""How a login at a provider ends when it does not succeed: refused, or nobody could be asked.

The shopper hears one sentence for every refusal; the reason stands in the log, where an operator needs it.
"""

from typing import Final

import structlog

from app.kit.errors import LOGIN_FAILED, UNAVAILABLE, Unauthenticated, Unavailable

log = structlog.get_logger("storefront.oauth")

RETRY_SECONDS: Final = 5


def refused(provider: str, reason: str) -> Unauthenticated:
    """What to raise where the provider does not vouch for the caller. `reason` holds nothing that was sent."""
    log.info("login refused", provider=provider, reason=reason)
    return Unauthenticated(LOGIN_FAILED, "The login was refused.")


def away(provider: str, reason: str) -> Unavailable:
    """What to raise where the provider did not answer, or not as it should."""
    log.warning("provider is away", provider=provider, reason=reason)
    return Unavailable(
        UNAVAILABLE, "The login provider does not answer at the moment.", retry_after=RETRY_SECONDS
    )
