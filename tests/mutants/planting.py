"""What a planted fault is and how it gets into a copy of the tree: by exact replacement, or not at all."""

import shutil
import tomllib
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("app", "tests", "migrations", "fixtures", "pyproject.toml")


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    file: str
    find: str
    replace: str


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mistake, the rule that it breaks, and the tests that stand for the rule."""

    name: str
    rule: str
    tests: list[str]
    change: list[Change]


def read_faults() -> list[Fault]:
    table = tomllib.loads(Path(__file__).with_name("faults.toml").read_text())
    return msgspec.convert(table["fault"], list[Fault])


def changed(fault: Fault, root: Path) -> dict[str, str]:
    """The files of a fault as it makes them. Raises ValueError where a text is not there exactly once."""
    texts: dict[str, str] = {}
    for change in fault.change:
        before = texts.get(change.file) or (root / change.file).read_text()
        found = before.count(change.find)
        if found != 1:
            raise ValueError(
                f"{fault.name}: this stands {found} times in {change.file}, not once:\n{change.find}"
            )
        texts[change.file] = before.replace(change.find, change.replace)
    return texts


def copy_tree(target: Path) -> None:
    """The tree without what was compiled from it."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)


def plant(fault: Fault, root: Path) -> None:
    for name, text in changed(fault, root).items():
        (root / name).write_text(text)
