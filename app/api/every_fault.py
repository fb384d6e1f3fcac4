"""All that is wrong with a body that was refused, where the decoder stops at the first fault."""

from collections.abc import Callable, Iterator
from itertools import islice
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from app.api.faults import invalid_shape
from app.kit.errors import VALIDATION_FAILED, FieldError, Invalid

MOST = 20
_LISTS = (list, set, frozenset, tuple)

Hook = Callable[[type, Any], Any] | None


def every_fault(
    refused: msgspec.ValidationError, target: Any, value: Any, *, strict: bool = True, hook: Hook = None
) -> Invalid:
    """What the decoder said of `value`, and what it had not come to yet: in the order of the fields, MOST at most.

    The decoder has the last word on what its own fault is, which comes first where looking again does not find it.
    """
    found = list(islice(_faults(target, value, "", strict=strict, hook=hook), MOST))
    first = invalid_shape(refused).errors[0]
    if first.field in {fault.field for fault in found}:
        found = [fault if _agrees(fault, first) else first for fault in found]
    else:
        found = [first, *found[: MOST - 1]]
    return Invalid(VALIDATION_FAILED, "Some fields cannot be accepted.", errors=found)


def _agrees(fault: FieldError, first: FieldError) -> bool:
    return fault.field != first.field or fault.code == first.code


def _faults(target: Any, value: Any, at: str, *, strict: bool, hook: Hook) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, target, strict=strict, dec_hook=hook)
    except msgspec.ValidationError as error:
        inner = _plain(target)
        within: Iterator[tuple[Any, Any, str]] = iter(())
        some = False
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            for fault in _names(inner, value, at):
                some = True
                yield fault
            within = _fields(inner, value, at)
        elif isinstance(value, list) and get_origin(inner) in _LISTS and get_args(inner):
            item = get_args(inner)[0]
            within = ((item, one, f"{at}[{index}]") for index, one in enumerate(value))
        for kind, child, place in within:
            for fault in _faults(kind, child, place, strict=strict, hook=hook):
                some = True
                yield fault
        if not some:  # it is the value itself: its kind, its length, its bounds
            yield from (_with_choices(fault, inner) for fault in invalid_shape(error, at).errors)


def _with_choices(fault: FieldError, kind: Any) -> FieldError:
    """The decoder says that a word is none of the possible ones, and not which those are."""
    if fault.code != "unknown_choice" or get_origin(kind) is not Literal:
        return fault
    words = ", ".join(str(word) for word in get_args(kind))
    return FieldError(fault.field, fault.code, f"Must be one of: {words}.")


def _names(struct: type[msgspec.Struct], value: dict[str, Any], at: str) -> Iterator[FieldError]:
    """What is missing, and what nobody asked for."""
    known = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name, field in known.items():
        if field.required and name not in value:
            yield FieldError(_join(at, name), "required", "This field is needed.")
    if struct.__struct_config__.forbid_unknown_fields:
        for name in value:
            if name not in known:
                yield FieldError(_join(at, name[:100]), "unknown_field", "There is no such field.")


def _fields(struct: type[msgspec.Struct], value: dict[str, Any], at: str) -> Iterator[tuple[Any, Any, str]]:
    for field in msgspec.structs.fields(struct):
        if field.encode_name in value:
            yield field.type, value[field.encode_name], _join(at, field.encode_name)


def _plain(target: Any) -> Any:
    """A type without descriptions around it and without the choice of null or of nothing."""
    while True:
        if get_origin(target) is Annotated:
            target = get_args(target)[0]
        elif get_origin(target) in (Union, UnionType):
            kinds = [kind for kind in get_args(target) if kind not in (NoneType, msgspec.UnsetType)]
            if len(kinds) != 1:
                return target
            target = kinds[0]
        else:
            return target


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
