"""What a process keeps for a while: until it is old, found anew by one caller at a time, and never too much."""

from app.kit.aging import Aging


def test_a_value_is_kept_until_it_is_old_and_then_one_caller_finds_out_anew():
    now = 0.0
    kept = Aging[str](seconds=10, most=5, clock=lambda: now)
    assert kept.find("t") is None
    kept.keep("t", "found")
    now = 9.9
    assert kept.find("t") == "found"
    now = 10.0
    assert [kept.find("t") for _ in range(3)] == [None, "found", "found"]
    now = 20.0
    assert kept.find("t") is None
    kept.keep("t", "new")
    now = 29.9
    assert kept.find("t") == "new"


def test_what_is_forgotten_is_not_found():
    kept = Aging[str](seconds=10, most=5)
    kept.keep("t", "found")
    kept.forget("t")
    kept.forget("never kept")
    assert kept.find("t") is None


def test_the_oldest_makes_room():
    kept = Aging[str](seconds=10, most=2)
    for key in ("a", "b", "a", "c"):
        kept.keep(key, key)
    assert [kept.find(key) for key in "abc"] == ["a", None, "c"]
