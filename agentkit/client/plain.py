"""Plain objects, as a program ported from JavaScript expects them: the same fields by attribute and by key."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec


class PlainDict(dict[str, Any]):
    """JSON as a dict whose keys are attributes too; nested objects are the same."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def plain(value: Any) -> Any:
    """Return a copy of JSON-like data in which every object is a ``PlainDict``."""
    if isinstance(value, Mapping):
        return PlainDict({key: plain(each) for key, each in value.items()})
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


class Plain:
    """An object of named fields that can be read by key as well; what is None does not count as a key."""

    def _names(self) -> tuple[str, ...]:
        return ()

    def __getitem__(self, name: str) -> Any:
        if name not in self._names():
            raise KeyError(name)
        return getattr(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or ``default`` where there is none or nothing in it."""
        value = getattr(self, name) if name in self._names() else None
        return default if value is None else value

    def keys(self) -> list[str]:
        """Return the names of the fields that hold something."""
        return [name for name in self._names() if getattr(self, name) is not None]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()


class PlainStruct(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A ``Plain`` whose fields are those of a Struct."""

    def _names(self) -> tuple[str, ...]:
        return self.__struct_fields__
