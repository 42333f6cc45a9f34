"""From a type annotation to a shape.

Strings are resolved in the module of the function or class they stand in and, for the function and its
neighbours, among the local names where the tool is made.
"""

import collections.abc
import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import UNSET

from agentkit.tools.containers import Array, Constrained, Row, Table, Union
from agentkit.tools.output import OutputError, to_plain
from agentkit.tools.records import Adapter, Field, Foreign, Record
from agentkit.tools.shapes import FORMATS, SCALARS, Choice, Shape


class UnsupportedError(Exception):
    """An annotation that cannot be resolved or has no JSON form; the message says why, but not where."""


class Scope:
    """The names that annotations may use, and the records found so far."""

    def __init__(self, *, names: Mapping[str, object], local: Mapping[str, object], module: str) -> None:
        self._names = dict(names)
        self._local = dict(local)
        self._module = module
        self._records: dict[object, Record] = {}
        self._aliases: set[int] = set()

    def resolve(self, annotation: object) -> object:
        """Evaluate an annotation that is a string, or has strings inside.

        Raises:
            UnsupportedError: A name in it is unknown, or it is not a valid expression.
        """
        holder = types.SimpleNamespace(__annotations__={"it": annotation})
        return self._hints(holder, self._names, self._local)["it"]

    def shape(self, annotation: object) -> Shape:
        """Make the shape of a resolved annotation.

        Raises:
            UnsupportedError: It has no JSON form.
        """
        return self._described(annotation)[0]

    def field(
        self,
        name: str,
        annotation: object,
        *,
        required: bool,
        default: object = UNSET,
        wire: str | None = None,
    ) -> Field:
        """Make a field of a resolved annotation; `default` is UNSET where there is none that can be shown.

        Raises:
            UnsupportedError: The annotation has no JSON form.
        """
        shape, description = self._described(annotation)
        return Field(
            name=name,
            wire=wire or name,
            shape=shape,
            required=required,
            default=_shown_default(default),
            description=description,
        )

    def _hints(self, holder: object, names: dict[str, object] | None, local: dict[str, object]) -> dict[str, object]:
        try:
            return typing.get_type_hints(holder, globalns=names, localns=local, include_extras=True)
        except NameError as error:
            raise UnsupportedError(
                f"the name {error.name!r} in its annotation is not defined here;"
                " define or import it before the tool, not for type checkers alone"
            ) from error
        except Exception as error:
            raise UnsupportedError(f"its annotation cannot be evaluated ({error})") from error

    def _described(self, annotation: object) -> tuple[Shape, str | None]:
        if typing.get_origin(annotation) is not typing.Annotated:
            return self._plain(annotation), None
        inner, *notes = typing.get_args(annotation)
        if any(type(note).__module__.partition(".")[0] == "pydantic" for note in notes):
            return self._foreign(annotation), None
        shape, description = self._described(inner)
        for note in notes:
            if isinstance(note, str):
                description = note
            elif isinstance(note, msgspec.Meta):
                description = note.description or description
                shape = Constrained(shape, note)
        return shape, description

    def _plain(self, annotation: object) -> Shape:
        if annotation is typing.Any:
            return SCALARS[object]
        if isinstance(annotation, typing.NewType):
            return self.shape(annotation.__supertype__)
        value = getattr(annotation, "__value__", None)
        if value is not None and type(annotation).__name__ == "TypeAliasType":
            return self._alias(annotation, value)
        origin = typing.get_origin(annotation)
        if origin is None:
            return self._class(annotation)
        arguments = typing.get_args(annotation)
        if origin is typing.Literal:
            return _literal(arguments)
        if origin is typing.Union or origin is types.UnionType:
            members = [self.shape(member) for member in arguments if member is not msgspec.UnsetType]
            return members[0] if len(members) == 1 else Union(members)
        if origin in (typing.Required, typing.NotRequired):
            return self.shape(arguments[0])
        if isinstance(origin, type):
            return self._generic(origin, arguments)
        raise UnsupportedError(f"the type {_called(annotation)} is not supported")

    def _alias(self, alias: object, value: object) -> Shape:
        if id(alias) in self._aliases:
            raise UnsupportedError(f"the alias {_called(alias)} contains itself; use a Struct")
        self._aliases.add(id(alias))
        shape = self.shape(value)
        self._aliases.discard(id(alias))
        return shape

    def _generic(self, origin: type, arguments: Sequence[object]) -> Shape:
        if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
            return Row([self.shape(item) for item in arguments])
        if origin in _ARRAYS:
            return self._array(origin, arguments[0])
        if origin in _TABLES:
            return self._table(*arguments)
        if _is_record(origin):
            parameters = getattr(origin, "__parameters__", ())
            return self._record(origin, dict(zip(parameters, arguments, strict=False)), arguments)
        raise UnsupportedError(f"the type {_called(origin)}[...] is not supported")

    def _array(self, origin: type, item: object) -> Shape:
        build = _ARRAYS[origin]
        return Array(self.shape(item), build, unique=build in (set, frozenset))

    def _table(self, key: object, value: object) -> Shape:
        names = self.shape(key)
        if not names.key:
            raise UnsupportedError(f"{_called(key)} cannot be the key of a JSON object")
        return Table(names, self.shape(value))

    def _class(self, annotation: object) -> Shape:
        if isinstance(annotation, collections.abc.Hashable):
            found = SCALARS.get(annotation) or FORMATS.get(typing.cast(type, annotation))
            if found is not None:
                return found
        if not isinstance(annotation, type):
            raise UnsupportedError(f"{_called(annotation)} is not a type that a tool can take")
        if annotation is tuple:
            return Array(SCALARS[object], tuple)
        if annotation in _ARRAYS:
            return self._array(annotation, object)
        if annotation in _TABLES:
            return self._table(str, object)
        if issubclass(annotation, enum.Enum):
            return _enum(annotation)
        if _pydantic_class(annotation):
            return self._foreign(annotation)
        if _is_record(annotation):
            return self._record(annotation, {}, ())
        raise UnsupportedError(
            f"the type {_called(annotation)} has no JSON form; use a Struct, a dataclass or a TypedDict"
        )

    def _foreign(self, annotation: object) -> Shape:
        adapter: Callable[[object], Adapter] = sys.modules["pydantic"].TypeAdapter
        try:
            return Foreign(getattr(annotation, "__name__", "object"), adapter(annotation))
        except Exception as error:
            raise UnsupportedError(f"pydantic cannot use {_called(annotation)} ({error})") from error

    def _record(self, cls: type, filled: Mapping[object, object], arguments: Sequence[object]) -> Record:
        key = (cls, tuple(arguments))
        if key in self._records:
            return self._records[key]
        tag = None
        if issubclass(cls, msgspec.Struct) and cls.__struct_config__.tag is not None:
            tag = (str(cls.__struct_config__.tag_field), cls.__struct_config__.tag)
        record = Record(cls.__name__, cls, doc=_own_doc(cls), tag=tag)
        self._records[key] = record
        nested = {name: item for name, item in vars(cls).items() if isinstance(item, type)}
        near = self._local if cls.__module__ == self._module else {}
        try:
            hints = self._hints(cls, None, {**nested, **near, cls.__name__: cls})
        except UnsupportedError as error:
            raise UnsupportedError(f"{cls.__name__}: {error}") from error
        fields: list[Field] = []
        for member in _members(cls):
            annotation = _fill(hints[member.name], filled)
            # With postponed annotations a TypedDict does not know these of its own fields.
            marked = typing.get_origin(annotation)
            required = marked is typing.Required or (member.required and marked is not typing.NotRequired)
            try:
                fields.append(
                    self.field(
                        member.name,
                        annotation,
                        wire=member.wire,
                        required=required,
                        default=member.default,
                    )
                )
            except UnsupportedError as error:
                raise UnsupportedError(f"{cls.__name__}.{member.name}: {error}") from error
        record.fields = fields
        return record


_ARRAYS: dict[type, Callable[[list[object]], object]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
}
_TABLES: frozenset[type] = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})


def _is_record(cls: type) -> bool:
    return (
        issubclass(cls, msgspec.Struct)
        or dataclasses.is_dataclass(cls)
        or typing.is_typeddict(cls)
        or _is_named_tuple(cls)
    )


def _is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


class _Member(msgspec.Struct, frozen=True):
    """A field of a record class: its names, whether it must be given, and a default that can be shown."""

    name: str
    wire: str
    required: bool
    default: object = UNSET


def _members(cls: type) -> list[_Member]:
    if issubclass(cls, msgspec.Struct):
        # `msgspec.structs.fields` would resolve the annotations by itself, and not find local names.
        first = len(cls.__struct_fields__) - len(cls.__struct_defaults__)
        defaults = (msgspec.NODEFAULT,) * first + cls.__struct_defaults__
        return [
            _Member(name, wire, default is msgspec.NODEFAULT, _unless(default, msgspec.NODEFAULT))
            for name, wire, default in zip(cls.__struct_fields__, cls.__struct_encode_fields__, defaults, strict=True)
        ]
    if dataclasses.is_dataclass(cls):
        missing = dataclasses.MISSING
        return [
            _Member(
                field.name,
                field.name,
                field.default is missing and field.default_factory is missing,
                _unless(field.default, missing),
            )
            for field in dataclasses.fields(cls)
            if field.init
        ]
    if _is_named_tuple(cls):
        given: Mapping[str, object] = cls._field_defaults  # type: ignore[attr-defined]  # a named tuple's own
        names: Sequence[str] = cls._fields  # type: ignore[attr-defined]  # a named tuple's own
        return [_Member(name, name, name not in given, given.get(name, UNSET)) for name in names]
    required: frozenset[str] = cls.__required_keys__  # type: ignore[attr-defined]  # a TypedDict's own
    return [_Member(name, name, name in required) for name in cls.__annotations__]


def _unless(default: object, absent: object) -> object:
    return UNSET if default is absent else default


def _shown_default(default: object) -> object:
    if default is UNSET:
        return UNSET
    try:
        return to_plain(default)
    except OutputError:
        return UNSET


def _fill(annotation: object, filled: Mapping[object, object]) -> object:
    """Put the arguments of a generic class in the place of its type variables."""
    if isinstance(annotation, typing.TypeVar):
        return filled.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if not filled or not parameters or isinstance(annotation, type):
        return annotation
    return annotation[tuple(filled.get(parameter, parameter) for parameter in parameters)]  # type: ignore[index]  # a generic alias


def _own_doc(cls: type) -> str | None:
    """Give the docstring that the author wrote, not the one that `dataclass` or `NamedTuple` makes."""
    doc: str | None = vars(cls).get("__doc__")
    made = doc is not None and doc.startswith(f"{cls.__name__}(")
    return None if made else doc


def _pydantic_class(annotation: type) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and (
        issubclass(annotation, pydantic.BaseModel) or hasattr(annotation, "__pydantic_validator__")
    )


def _literal(values: Sequence[object]) -> Choice:
    options = [(value.value if isinstance(value, enum.Enum) else value, value) for value in values]
    return _choice("a Literal", options)


def _enum(cls: type[enum.Enum]) -> Choice:
    members = [(member.value, member) for member in cls]
    if not members:
        raise UnsupportedError(f"the Enum {cls.__name__} has no members")
    return _choice(f"the Enum {cls.__name__}", members, cls)


def _choice(called: str, options: Sequence[tuple[object, object]], cls: type[enum.Enum] | None = None) -> Choice:
    for wire, _ in options:
        if type(wire) not in (str, int, float, bool, type(None)):
            raise UnsupportedError(f"{called} has the value {wire!r}, which JSON has no form for")
    return Choice(options, members=cls)


def _called(annotation: object) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
