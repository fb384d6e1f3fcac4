"""The mark that the processes of one machine share: whoever commits leaves another there, whatever process it is."""

import copy
import os

from app.db.versions import CommitMark


def test_each_commit_leaves_another_mark(tmp_path):
    mark = CommitMark(tmp_path / "mark")
    other = CommitMark(tmp_path / "mark")
    seen = {mark.read()}
    for one in (mark, other, other, mark):
        one.change()
        assert mark.read() == other.read()
        seen.add(mark.read())
    assert len(seen) == 5


def test_a_process_that_was_forked_does_not_leave_what_its_parent_does(tmp_path, monkeypatch):
    mark = CommitMark(tmp_path / "mark")
    mark.change()
    forked = copy.copy(mark)  # with all that the parent had noted, and the same bytes
    mark.change()
    before = mark.read()
    another = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: another)
    forked.change()
    assert mark.read() != before
