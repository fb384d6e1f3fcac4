"""What holds for the whole tree: declared codes, quiet logs, mail addresses by form."""

import ast
import io
import json
import logging
from contextlib import redirect_stderr
from pathlib import Path

import pytest
import structlog

import app
import app.api.errors
from app.kit import errors
from app.log import configure_logging, request_id

KINDS = {"NotFound", "Invalid", "Conflict", "Forbidden", "Declined", "Unavailable", "Unauthenticated"}
ROOT = Path(app.__file__).parent


def literal_codes(path: Path) -> list[str]:
    """Codes that are written where an error is raised, instead of being declared once and used by name."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args:
            called = (
                node.func.value
                if isinstance(node.func, ast.Attribute) and node.func.attr == "at"
                else node.func
            )
            code = node.args[1 if called is not node.func and len(node.args) > 1 else 0]
            if isinstance(called, ast.Name) and called.id in KINDS and isinstance(code, ast.Constant):
                found.append(str(code.value))
    return found


def test_every_code_that_is_raised_is_declared():
    # the source is read, not run: declarations count wherever they stand in the tree
    declared = {entry.code for entry in errors.declared_codes()}
    raised: dict[str, str] = {}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "declare":
                declared.update(str(arg.value) for arg in node.args[1:2] if isinstance(arg, ast.Constant))
        raised |= dict.fromkeys(literal_codes(path), str(path.relative_to(ROOT)))
    assert {code: place for code, place in raised.items() if code not in declared} == {}


@pytest.fixture
def restored_logging():
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def test_logs_are_json_lines_with_the_request_id_and_without_secrets(restored_logging):
    stream = io.StringIO()
    with redirect_stderr(stream):
        configure_logging(level="info", form="json")
    token = request_id.set("abc12345")
    log = structlog.get_logger("storefront.test")
    log.info("login", auth_key="canary", customer_password="canary", cart_uuid="canary", count=3)
    log.debug("not shown")
    log.error("failed", exc_info=RuntimeError("why"))
    logging.getLogger("elsewhere").warning("from a library")
    request_id.reset(token)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["login", "failed", "from a library"]
    assert lines[0]["request_id"] == "abc12345"
    assert lines[0]["count"] == 3
    assert "RuntimeError: why" in lines[1]["exception"]
    assert "canary" not in stream.getvalue()
