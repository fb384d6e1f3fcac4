"""Which known word was meant by a mistyped one."""

from collections.abc import Iterable


def edits(first: str, second: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours between two words (optimal alignment)."""
    before: list[int] = []
    above = list(range(len(second) + 1))
    for row, left in enumerate(first, 1):
        line = [row]
        for column, right in enumerate(second, 1):
            cost = min(above[column] + 1, line[column - 1] + 1, above[column - 1] + (left != right))
            if row > 1 and column > 1 and left == second[column - 2] and first[row - 2] == right:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, above = above, line
    return above[-1]


def edits_within(first: str, second: str, most: int) -> int:
    """Their edits, or more than `most` where there are more: each letter that only one of them has takes one."""
    apart = max(len(set(first).difference(second)), len(set(second).difference(first)))
    apart = max(apart, abs(len(first) - len(second)))
    return apart if apart > most else edits(first, second)


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate with the fewest edits, also as the beginning of a longer word; None if all are too far.

    A third of the letters may be wrong, two at most, and one in words of three or four. The first letter is
    rarely the wrong one: among words as near, one that begins alike was meant, and one before two that were
    written together.
    """
    most = 1 if len(word) <= 4 else 2
    best: tuple[float, bool, bool, str] | None = None
    for candidate in candidates:
        away = float(edits_within(word, candidate, most))
        if len(candidate) > len(word) + 1:
            away = min(away, edits_within(word, candidate[: len(word)], most) + 0.5)
        rank = (away, candidate[:1] != word[:1], " " in candidate, candidate)
        if away <= most and (best is None or rank < best):
            best = rank
    return best[-1] if best else None
