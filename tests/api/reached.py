"""What a handler can come to, read from its compiled code: every name and constant of what it calls, and on.

Calls are followed by name through our own modules, into functions and not into methods of objects. That errs
on one side: what is found may be on a way that a call never takes.
"""

from collections.abc import Iterator
from inspect import unwrap
from types import CodeType, FunctionType
from typing import Any


def reached(handler: Any) -> frozenset[str]:
    """Names (functions, classes, attributes, keywords) and texts, also in lower case, that the handler comes to."""
    start = unwrap(getattr(handler.fn, "func", handler.fn))
    seen: set[FunctionType] = set()
    found: set[str] = set()
    waiting = [start]
    while waiting:
        function = waiting.pop()
        if function in seen:
            continue
        seen.add(function)
        for code in _codes(function.__code__):
            found.update(code.co_names)
            texts = set(_texts(code.co_consts))
            found |= texts | {text.lower() for text in texts}
            waiting.extend(_called(function, code))
    return frozenset(found)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _texts(constants: Any) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, tuple):
            yield from _texts(constant)
        elif isinstance(constant, bytes):
            yield constant.decode("latin-1")
        elif isinstance(constant, str):
            yield constant


def _called(function: FunctionType, code: CodeType) -> Iterator[FunctionType]:
    for name in code.co_names:
        named = function.__globals__.get(name)
        if callable(named):
            named = unwrap(named)
        if isinstance(named, FunctionType) and named.__module__.startswith("app."):
            yield named
