"""How the rows of an address are found among all that ever asked for the newsletter."""

from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql

from app.domain.newsletter.models import Subscription
from app.domain.newsletter.queries import of_address


async def test_both_rows_of_an_address_are_found_by_their_indexes(sessions, store):
    query = select(Subscription.id).where(Subscription.store_id == store.id, of_address("ada@example.com"))
    words = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    async with sessions() as session:
        # A table with little in it is read whole, whatever indexes there are.
        await session.execute(
            text(
                "INSERT INTO subscriptions (store_id, uuid, form_uuid, email, email_key, updated_at, confirmed_at) "
                "SELECT :store, gen_random_uuid(), gen_random_uuid(), n, n || '@example.com', now(), "
                "CASE WHEN n % 2 = 0 THEN now() END FROM generate_series(1, 2000) n"
            ),
            {"store": store.id},
        )
        await session.execute(text("ANALYZE subscriptions"))
        plan = "\n".join(await session.scalars(text(f"EXPLAIN {words}")))
        await session.rollback()
    assert "subscriptions_request_key" in plan
    assert "subscriptions_confirmed_key" in plan
