"""Tax rates in parts per million instead of basis points: 6.625 % is 66250.

Three places hold one. Lines of orders and what checkouts have frozen are multiplied where they stand: in every checkout
that has something frozen, since one that is being paid goes on from it and one that was paid shows it. The rates
themselves move to a column of another name, last of all. A server of the version before, which may still be running,
then fails to read the store: under the old name it would charge a hundred times the tax.

Downgrade refuses while a rate is finer than a basis point, since the shop would charge another tax from then on. On
what was sold at a finer rate the tax stays to the cent, and the rate beside it is rounded half up.
"""

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

# Nobody freezes or writes a line while these are counted anew; reading goes on. In the order in which the shop locks.
HOLD = "LOCK TABLE checkouts, order_lines IN SHARE ROW EXCLUSIVE MODE"
LINES = "UPDATE order_lines SET tax_rate = {rate} WHERE tax_rate <> 0"
FROZEN = """
    UPDATE checkouts SET frozen = jsonb_set(frozen, '{quote,lines}', (
        SELECT jsonb_agg(jsonb_set(line, '{tax_rate}', to_jsonb(__rate__)) ORDER BY place)
        FROM jsonb_array_elements(frozen #> '{quote,lines}') WITH ORDINALITY AS lines (line, place),
            CAST(line ->> 'tax_rate' AS integer) AS tax_rate
    ))
    WHERE frozen @? '$.quote.lines[*].tax_rate ? (@ != 0)'
"""
FINER = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM tax_rates WHERE rate_ppm % 100 <> 0) THEN
            RAISE EXCEPTION 'a tax rate is finer than 0.01 percent, which the version before cannot charge: change it first';
        END IF;
    END $$
"""
FINE, COARSE = "tax_rate * 100", "(tax_rate + 50) / 100"


def upgrade() -> None:
    op.execute(HOLD)
    op.execute(LINES.format(rate=FINE))
    op.execute(FROZEN.replace("__rate__", FINE))
    op.alter_column("tax_rates", "rate", new_column_name="rate_ppm")
    op.execute("ALTER TABLE tax_rates RENAME CONSTRAINT tax_rates_rate_check TO tax_rates_rate_ppm_check")
    op.execute("UPDATE tax_rates SET rate_ppm = rate_ppm * 100")


def downgrade() -> None:
    op.execute(FINER)
    op.execute(HOLD)
    op.execute(LINES.format(rate=COARSE))
    op.execute(FROZEN.replace("__rate__", COARSE))
    op.execute("UPDATE tax_rates SET rate_ppm = rate_ppm / 100")
    op.execute("ALTER TABLE tax_rates RENAME CONSTRAINT tax_rates_rate_ppm_check TO tax_rates_rate_check")
    op.alter_column("tax_rates", "rate_ppm", new_column_name="rate")
