"""`storefront serve`: the server processes, and with --with-worker a worker beside them."""

import os

import click

from app.cli.environment import child_environ, production_checked_settings, with_databases
from app.cli.supervisor import start_command, supervisor


@click.command()
@click.option("--with-worker", is_flag=True, help="Run a worker too, and start either again when it ends.")
def command(with_worker: bool) -> None:
    """Run the server processes on STOREFRONT_HOST and PORT, STOREFRONT_WORKERS of them.

    SIGTERM and Ctrl-C let requests in hand finish. The schema must be up to date: `storefront migrate`.
    """
    with with_databases(production_checked_settings(), redis=True) as settings:
        environ = child_environ(settings)
        if with_worker:
            with supervisor() as parts:
                parts.add("server", lambda: start_command("serve", environ))
                parts.add("worker", lambda: start_command("worker", environ))
                parts.run()
            return
        from app.api.metrics import clear_metrics  # noqa: PLC0415 - loaded by whoever serves
        from app.cli.server import serve  # noqa: PLC0415 - as above

        clear_metrics(settings.data_dir / "metrics")
        os.environ.update(environ)
        serve(settings)
