"""Customers, their proofs of identity, addresses and rewards; newsletter subscriptions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = (
    "withdrawals",
    "referral_rewards",
    "passkeys",
    "login_secrets",
    "login_codes",
    "customer_identities",
    "customer_devices",
    "customer_addresses",
    "subscriptions",
    "customers",
)


def upgrade() -> None:
    op.create_table(
        "customers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_email", sa.Text(), nullable=True),
        sa.Column("password_digest", sa.Text(), nullable=True),
        sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("firstname", sa.Text(), server_default="", nullable=False),
        sa.Column("lastname", sa.Text(), server_default="", nullable=False),
        sa.Column("birthday", sa.Date(), nullable=True),
        sa.Column("gender", sa.Text(), nullable=True),
        sa.Column("relationship", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("identity", sa.Text(), nullable=True),
        sa.Column("passkey_handle", sa.LargeBinary(), nullable=True),
        sa.Column("invite_token", sa.Text(), nullable=False),
        sa.Column("invited_by", sa.BigInteger(), nullable=True),
        sa.Column("referral_balance", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name="customers_country_check"),
        sa.CheckConstraint("gender IN ('male', 'female', 'other')", name="customers_gender_check"),
        sa.CheckConstraint("referral_balance >= 0", name="customers_referral_balance_check"),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="customers_store_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="customers_pkey"),
        sa.UniqueConstraint("store_id", "invite_token", name="customers_store_id_invite_token_key"),
        sa.UniqueConstraint("store_id", "passkey_handle", name="customers_store_id_passkey_handle_key"),
    )
    op.create_index(
        "customers_email_key",
        "customers",
        ["store_id", "email_key"],
        unique=True,
        postgresql_where="closed_at IS NULL",
    )
    op.create_index("customers_invited_by_idx", "customers", ["store_id", "invited_by"], unique=False)
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("birthday", sa.Date(), nullable=True),
        sa.Column("gender", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("identity", sa.Text(), nullable=True),
        sa.Column("utms", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("behaviour", sa.Text(), nullable=True),
        sa.Column("behaviour_params", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("consent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consent_source", sa.Text(), nullable=True),
        sa.Column("confirm_digest", sa.LargeBinary(), nullable=True),
        sa.Column("confirm_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unsubscribed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unsubscribe_note", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("gender IN ('male', 'female', 'other')", name="subscriptions_gender_check"),
        sa.CheckConstraint(
            "status IN ('pending', 'subscribed', 'unsubscribed')", name="subscriptions_status_check"
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name="subscriptions_store_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="subscriptions_pkey"),
        sa.UniqueConstraint("store_id", "confirm_digest", name="subscriptions_store_id_confirm_digest_key"),
        sa.UniqueConstraint("store_id", "email_key", name="subscriptions_store_id_email_key_key"),
        sa.UniqueConstraint("store_id", "uuid", name="subscriptions_store_id_uuid_key"),
    )
    op.create_index("subscriptions_customer_idx", "subscriptions", ["store_id", "customer_id"], unique=False)
    op.create_table(
        "customer_addresses",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("address", postgresql.JSONB(), nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name="customer_addresses_customer_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="customer_addresses_pkey"),
    )
    op.create_index(
        "customer_addresses_default_key",
        "customer_addresses",
        ["store_id", "customer_id"],
        unique=True,
        postgresql_where="is_default",
    )
    op.create_index(
        "customer_addresses_store_id_customer_id_id_idx",
        "customer_addresses",
        ["store_id", "customer_id", "id"],
        unique=False,
    )
    op.create_table(
        "customer_devices",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column(
            "first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name="customer_devices_customer_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("store_id", "customer_id", "digest", name="customer_devices_pkey"),
    )
    op.create_table(
        "customer_identities",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name="customer_identities_customer_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="customer_identities_pkey"),
        sa.UniqueConstraint(
            "store_id", "issuer", "subject", name="customer_identities_store_id_issuer_subject_key"
        ),
    )
    op.create_index(
        "customer_identities_store_id_customer_id_idx",
        "customer_identities",
        ["store_id", "customer_id"],
        unique=False,
    )
    op.create_table(
        "login_codes",
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name="login_codes_customer_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("store_id", "customer_id", name="login_codes_pkey"),
    )
    op.create_index("login_codes_expires_at_idx", "login_codes", ["expires_at"], unique=False)
    op.create_table(
        "login_secrets",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "purpose IN ('verify', 'reset', 'link', 'handover')", name="login_secrets_purpose_check"
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name="login_secrets_customer_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name="login_secrets_pkey"),
    )
    op.create_index("login_secrets_expires_at_idx", "login_secrets", ["expires_at"], unique=False)
    op.create_index(
        "login_secrets_store_id_customer_id_purpose_idx",
        "login_secrets",
        ["store_id", "customer_id", "purpose"],
        unique=False,
    )
    op.create_table(
        "passkeys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("transports", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("backed_up", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name="passkeys_customer_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="passkeys_pkey"),
        sa.UniqueConstraint("store_id", "credential_id", name="passkeys_store_id_credential_id_key"),
    )
    op.create_index(
        "passkeys_store_id_customer_id_idx", "passkeys", ["store_id", "customer_id"], unique=False
    )
    op.create_table(
        "referral_rewards",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("invited_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount > 0", name="referral_rewards_amount_check"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="referral_rewards_customer_id_fkey"),
        sa.ForeignKeyConstraint(["invited_id"], ["customers.id"], name="referral_rewards_invited_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="referral_rewards_pkey"),
        sa.UniqueConstraint("store_id", "invited_id", name="referral_rewards_store_id_invited_id_key"),
        sa.UniqueConstraint("store_id", "order_id", name="referral_rewards_store_id_order_id_key"),
    )
    op.create_index(
        "referral_rewards_store_id_customer_id_idx",
        "referral_rewards",
        ["store_id", "customer_id"],
        unique=False,
    )
    op.create_table(
        "withdrawals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("store_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="requested", nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('requested', 'approved', 'paid', 'refused')", name="withdrawals_status_check"
        ),
        sa.CheckConstraint("amount > 0", name="withdrawals_amount_check"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="withdrawals_customer_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="withdrawals_pkey"),
    )
    op.create_index(
        "withdrawals_store_id_customer_id_id_idx",
        "withdrawals",
        ["store_id", "customer_id", "id"],
        unique=False,
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
