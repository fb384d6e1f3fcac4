"""Every planted fault still fits the code, names tests that are there, and leaves a module that can be read."""

import ast
import re

import pytest

from tests.mutants.planting import ROOT, Change, Fault, changed, read_faults

FAULTS = read_faults()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_applies_to_the_tree_as_it_is(fault: Fault):
    for name, text in changed(fault, ROOT).items():
        assert text != (ROOT / name).read_text()
        ast.parse(text)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_tests_of_a_fault_are_there(fault: Fault):
    assert fault.tests
    for test in fault.tests:
        file, _, name = test.partition("::")
        assert re.search(rf"def {re.escape(name)}\(", (ROOT / file).read_text()), test


def test_names_are_used_once():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 6


@pytest.mark.parametrize("find", ["this stands nowhere", "\n"])
def test_a_text_that_does_not_stand_exactly_once_is_refused(find: str):
    fault = Fault("other", "none", ["none"], [Change("app/kit/ids.py", find, "")])
    with pytest.raises(ValueError, match=r"stands \d+ times in app/kit/ids.py"):
        changed(fault, ROOT)
