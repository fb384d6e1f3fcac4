"""Who is asking: a guest, a customer, or somebody whose proof cannot be checked at the moment."""

from typing import Literal

import msgspec

from app.kit.errors import LOGIN_REQUIRED, UNAVAILABLE, Unauthenticated, Unavailable

Kind = Literal["guest", "customer", "unknown"]
Via = Literal["cookie", "bearer"]


class Actor(msgspec.Struct, frozen=True):
    """`unknown` brought a proof while the store of sessions was away.

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

    def customer(self) -> int:
        """The customer's id. Raises Unauthenticated for a guest, Unavailable for `unknown`."""
        customer_id = self.known().customer_id
        if customer_id is None:
            raise Unauthenticated(LOGIN_REQUIRED, "This call needs a login.")
        return customer_id


GUEST = Actor()
