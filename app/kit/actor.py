"""Who is asking: a guest, a customer, somebody whose login has ended, or whose proof cannot be checked now."""

from typing import Literal

import msgspec

from app.kit.errors import LOGIN_REQUIRED, SESSION_ENDED, UNAVAILABLE, Unauthenticated, Unavailable

Kind = Literal["guest", "customer", "ended", "unknown"]
Via = Literal["cookie", "bearer"]


class Actor(msgspec.Struct, frozen=True):
    """`ended` brought a bearer that is not, or no longer, in force; a worthless cookie makes a guest.

    A browser sends a cookie by itself, whether the shopper knows or not; a bearer is sent on purpose, by a
    program that takes what it is answered for its customer's.

    `unknown` brought a proof while the store of sessions was away.

    Such a caller may go on where a guest may, but must never be taken for one where that decides whose
    things they are: a customer's next line would land in a new guest cart.
    """

    kind: Kind = "guest"
    customer_id: int | None = None
    session_id: str | None = None
    via: Via | None = None
    retry_after: int = 1

    def known(self) -> "Actor":
        """The same, once it is certain who it is. Raises Unavailable for `unknown`."""
        if self.kind == "unknown":
            raise Unavailable(
                UNAVAILABLE, "Logins cannot be checked at the moment.", retry_after=self.retry_after
            )
        return self

    def visitor(self) -> int | None:
        """The customer's id, None for a guest or `unknown`: for calls that can do without a login.

        Raises Unauthenticated session_ended: an ended login must not look like an empty cart.
        """
        if self.kind == "ended":
            raise Unauthenticated(
                SESSION_ENDED,
                "The login that this call came with has ended. Log in again, or leave out the Authorization header.",
                ended=True,
            )
        return self.customer_id

    def customer(self) -> int:
        """The customer's id. Raises Unauthenticated for a guest, Unavailable for `unknown`."""
        customer_id = self.known().customer_id
        if self.kind == "ended":
            told = "This call needs a login, and the one that it came with is not known or has ended."
            raise Unauthenticated(LOGIN_REQUIRED, told, ended=True)
        if customer_id is None:
            raise Unauthenticated(LOGIN_REQUIRED, "This call needs a login.")
        return customer_id


GUEST = Actor()
