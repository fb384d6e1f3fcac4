"""What processes load, and what is not yet begun when the server processes fork: looked at in processes of their own."""

import json
import os
import subprocess
import sys

import pytest

from app.db.migrations import alembic_config
from app.db.schema import SchemaNotCurrent, head_revision
from tests.embedded.processes import PATIENCE, ROOT, environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes the way Linux shows them")

SHOWN = """
import json, os, sys
print(json.dumps({
    "modules": sorted(sys.modules),
    "threads": len(os.listdir("/proc/self/task")),
    "sockets": [name for fd in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{fd}")
        and (name := os.readlink(f"/proc/self/fd/{fd}")).startswith("socket:")],
}))
"""
MAKES_APP = "from app.cli.server import make_app\napp = make_app()\n" + SHOWN
LOADS_WORKER = (
    "import app.worker\nfrom app.db.base import Base\nfrom sqlalchemy.orm import configure_mappers\n"
    "configure_mappers()\nassert len(Base.metadata.sorted_tables) > 50\n" + SHOWN
)
# Everything that a shop can set, so that each library is loaded and each client made.
EVERYTHING = {
    "STOREFRONT_ENV": "production",
    "STOREFRONT_SECRET_KEY": "0123456789" * 5,
    "STOREFRONT_PUBLIC_URL": "https://shop.example",
    "DATABASE_URL": "postgresql://localhost/shop",
    "REDIS_URL": "redis://localhost",
    "SMTP_URL": "smtp://localhost",
    "STRIPE_SECRET_KEY": "sk_test_1",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_1",
    "PAYPAL_CLIENT_ID": "ours",
    "PAYPAL_CLIENT_SECRET": "secret",
    "GOOGLE_CLIENT_IDS": "ours",
    "FACEBOOK_APP_ID": "1",
    "FACEBOOK_APP_SECRET": "secret",
    "OIDC_PROVIDERS": "corp",
    "OIDC_CORP_ISSUER": "https://corp.example",
    "OIDC_CORP_CLIENT_ID": "ours",
    "SHIPPING_CARRIERS": "hub",
    "CARRIER_HUB_URL": "https://hub.example",
    "STOREFRONT_FILES_URL": "s3://bucket/pictures",
    "S3_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "ours",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


def shown(script, folder, **changes):
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(STOREFRONT_DATA_DIR=str(folder), **changes),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_nothing_runs_and_nothing_is_connected_before_the_server_processes_fork(tmp_path):
    found = shown(MAKES_APP, tmp_path, **EVERYTHING)
    # A forked process has one thread, whatever the others held or were about to do; a socket two would share.
    assert (found["threads"], found["sockets"]) == (1, [])


def test_a_server_process_of_a_plain_shop_loads_neither_development_nor_what_is_not_set(tmp_path):
    plain = {name: EVERYTHING[name] for name in list(EVERYTHING)[:6]}
    loaded = set(shown(MAKES_APP, tmp_path, **plain)["modules"])
    assert {"litestar", "app.api.storefront"} <= loaded
    assert not loaded & {
        "alembic", "app.integrations.test_logins", "app.integrations.test_payments", "app.web", "httpx", "httpx2",
        "jinja2", "joserfc", "stripe", "webauthn",
    }  # fmt: skip


def test_a_worker_loads_nothing_that_answers_requests_and_yet_every_table_that_its_own_refer_to(tmp_path):
    loaded = set(shown(LOADS_WORKER, tmp_path)["modules"])
    assert {"app.domain.checkout.till", "jinja2"} <= loaded
    assert not loaded & {"alembic", "app.api", "app.main", "granian", "litestar", "obstore", "PIL", "redis"}


def test_the_newest_revision_is_the_one_that_alembic_finds():
    from alembic.script import ScriptDirectory

    assert head_revision() == ScriptDirectory.from_config(alembic_config()).get_current_head()


@pytest.mark.parametrize("revisions", [(), (("1", None), ("2", "1"), ("3", "1"))], ids=["none", "two"])
def test_migrations_without_one_newest_revision_are_refused_by_name(revisions, tmp_path, monkeypatch):
    (tmp_path / "versions").mkdir()
    for own, below in revisions:
        quoted = f'"{below}"' if below else None
        text = f'revision = "{own}"\ndown_revision = {quoted}\n'
        (tmp_path / "versions" / f"{own}.py").write_text(text)
    monkeypatch.setitem(os.environ, "STOREFRONT_MIGRATIONS", str(tmp_path))
    with pytest.raises(SchemaNotCurrent, match=r"ends in (no revision|2, 3): set STOREFRONT_MIGRATIONS"):
        head_revision.__wrapped__()
