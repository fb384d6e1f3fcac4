"""A process that owns embedded servers until it is ended: what the tests kill. Prints its servers' numbers."""

import json
import sys
import threading
from pathlib import Path

from app.integrations.embedded.postgres import start_postgres
from app.integrations.embedded.process import EmbeddedServerError
from app.integrations.embedded.redis import start_redis

folder, orders = Path(sys.argv[1]), json.loads(sys.argv[2])
try:
    postgres = start_postgres(
        folder / "postgres", identity=orders.get("identity", "auto"), use_pipe=orders.get("use_pipe")
    )
    redis = start_redis(folder / "redis", use_pipe=orders.get("use_pipe"))
except EmbeddedServerError as error:
    sys.exit(str(error))
sys.stdout.write(json.dumps({"postgres": postgres.pid, "redis": redis.pid}) + "\n")
sys.stdout.flush()
threading.Event().wait()
