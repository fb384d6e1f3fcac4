"""How a body becomes the Struct that a handler asks for: strictly from JSON, leniently from forms."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from litestar.datastructures import UploadFile
from msgspec import inspect

from app.api.every_fault import every_fault
from app.api.faults import invalid_field, invalid_shape

_LISTS = (inspect.ListType, inspect.SetType, inspect.FrozenSetType, inspect.VarTupleType)
_TEXTS = (inspect.StrType, inspect.AnyType)


@cache
def shape_of(target: Any) -> "Shape":
    return Shape(target)


class Shape:
    """The decoders of one type, made once."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.kind = inspect.type_info(target)
        self.takes_files = _takes_files(self.kind, set())
        self._decoder = msgspec.json.Decoder(target)

    def from_json(self, body: bytes) -> Any:
        """Decode strictly, but that a boolean also takes 1 and 0. Raises Invalid and msgspec.DecodeError."""
        try:
            value = self._decoder.decode(body)
        except msgspec.ValidationError as refused:
            try:
                sent = msgspec.json.decode(body)
            except (msgspec.DecodeError, RecursionError):  # past the fault it cannot be read at all
                raise invalid_shape(refused) from None
            fitted = _fit(self.kind, sent, form=False)
            if "bool" not in str(refused):
                raise every_fault(refused, self.target, fitted) from None
            try:
                value = self._decoder.decode(msgspec.json.encode(fitted))
            except msgspec.ValidationError as error:
                raise every_fault(error, self.target, fitted) from None
        if b"\\u0000" in body:
            refuse_nul(msgspec.json.decode(body))
        return value

    def from_form(self, fields: dict[str, Any]) -> Any:
        """Convert text by the wanted type: `1` and `true` are booleans, digits are numbers."""
        refuse_nul(fields)
        fitted = _fit(self.kind, fields, form=True)
        try:
            return msgspec.convert(fitted, self.target, strict=False, dec_hook=_only_files)
        except msgspec.ValidationError as error:
            raise every_fault(error, self.target, fitted, strict=False, hook=_only_files) from None


def refuse_nul(value: Any, path: str = "") -> None:
    """Raise Invalid for U+0000 in a name or text: PostgreSQL's text cannot hold it."""
    if isinstance(value, str):
        if "\0" in value:
            raise invalid_field(path, "invalid_text", "Text must not contain the character U+0000.")
    elif isinstance(value, dict):
        for name, child in value.items():
            refuse_nul(name, path)
            refuse_nul(child, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            refuse_nul(child, f"{path}[{index}]")


def _only_files(wanted: type, value: object) -> object:
    if isinstance(value, wanted):
        return value
    raise ValueError("Must be a file")


def _members(kind: inspect.Type) -> list[inspect.Type]:
    """The kinds that a value may have, without null and without descriptions around them."""
    if isinstance(kind, inspect.Metadata):
        return _members(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [member for each in kind.types for member in _members(each)]
    return [] if isinstance(kind, inspect.NoneType) else [kind]


def _fit(kind: inspect.Type, value: Any, *, form: bool) -> Any:
    members = _members(kind)
    if isinstance(value, dict):
        return _fit_object(members, value, form=form)
    if isinstance(value, list):
        inner = next((member.item_type for member in members if isinstance(member, _LISTS)), None)
        return value if inner is None else [_fit(inner, item, form=form) for item in value]
    if form:
        only = members[0] if len(members) == 1 else None
        if isinstance(only, _LISTS):
            return [_fit(only.item_type, value, form=True)]
        # What browsers send of a ticked box that has no value of its own (HTML, value mode default/on).
        return "true" if value == "on" and isinstance(only, inspect.BoolType) else value
    numbers = any(isinstance(member, (inspect.IntType, inspect.FloatType)) for member in members)
    if not numbers and type(value) is int and value in (0, 1):
        return bool(value) if any(isinstance(member, inspect.BoolType) for member in members) else value
    return value


def _fit_object(members: Iterable[inspect.Type], value: dict[str, Any], *, form: bool) -> dict[str, Any]:
    for member in members:
        if isinstance(member, inspect.DictType):
            return {name: _fit(member.value_type, child, form=form) for name, child in value.items()}
        if isinstance(member, inspect.StructType):
            fields = {field.encode_name: field for field in member.fields}
            fitted = {}
            for name, child in value.items():
                field = fields.get(name)
                if form and child == "" and field and not field.required and not _takes_text(field.type):
                    continue  # an empty input of a page means: not given
                fitted[name] = _fit(field.type, child, form=form) if field else child
            return fitted
    return value


def _takes_text(kind: inspect.Type) -> bool:
    """Whether nothing typed is a text of its own here: among the words of a choice it is none."""
    return any(isinstance(member, _TEXTS) for member in _members(kind))


def _takes_files(kind: inspect.Type, seen: set[Any]) -> bool:
    for member in _members(kind):
        if isinstance(member, inspect.CustomType):
            if member.cls is UploadFile:
                return True
        elif isinstance(member, _LISTS):
            if _takes_files(member.item_type, seen):
                return True
        elif isinstance(member, inspect.StructType) and member.cls not in seen:
            seen.add(member.cls)
            if any(_takes_files(field.type, seen) for field in member.fields):
                return True
    return False
