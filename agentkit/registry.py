"""Names and what they stand for: one registry for everything that plugins bring.

Rule: a name that two plugins give belongs to neither. Asking for it raises an error that names both owners
and the qualified spellings (``basics:now``), which always work.
"""

from __future__ import annotations

import difflib
import inspect
import itertools
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Generic, Literal, Protocol, TypeVar, get_args

import msgspec

from agentkit.errors import DuplicateNameError, PluginLoadError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

T_co = TypeVar("T_co", covariant=True)

Kind = Literal["tools", "middleware", "presets", "providers", "responders", "commands"]
"""What a plugin can register; each has a hookspec of the same name."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""Every kind, in the order in which they are shown."""

SINGULAR: Final[Mapping[Kind, str]] = {
    "tools": "tool",
    "middleware": "middleware",
    "presets": "preset",
    "providers": "provider",
    "responders": "responder",
    "commands": "command",
}
"""The word for one of each kind, as messages say it."""

_NAME = re.compile(r"[^\s:]{1,64}")
_TARGET = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")
# YAML 1.1 tools read these as truth values and write them back as such.
_TRUTH_WORDS: Final = frozenset({"on", "off", "yes", "no", "y", "n", "true", "false", "null"})
# Only an endless generator has more.
_MAX_ITEMS: Final = 1_000


class Factory(msgspec.Struct, Generic[T_co], frozen=True):
    """Something that is built anew for each session, from its own options.

    ``build`` gets one argument, an instance of ``config``, or none where there is no ``config``.
    """

    name: str
    """What ``use:`` says."""
    build: Callable[..., T_co]
    """Makes one instance for one session."""
    config: type[msgspec.Struct] | None = None
    """The frozen Struct which ``with:`` is checked against before ``build`` runs."""
    description: str = ""
    """One line for lists."""
    extra: str = ""
    """The extra of the plugin's distribution that ``build`` imports from, as ``aec`` in ``pip install "x[aec]"``."""

    def __post_init__(self) -> None:
        """Refuse what could only fail later.

        Raises:
            TypeError: The name is no text, ``build`` cannot be called, or ``config`` is no frozen Struct class, or
                one with a key that YAML 1.1 takes for a truth value.
        """
        if not isinstance(self.name, str):
            raise TypeError(f"Factory: the name must be a text, not {self.name!r}")
        if not callable(self.build):
            raise TypeError(f"Factory {self.name!r}: build must be callable, not {self.build!r}")
        if self.config is not None and not (isinstance(self.config, type) and issubclass(self.config, msgspec.Struct)):
            raise TypeError(f"Factory {self.name!r}: config must be a msgspec.Struct class, not {self.config!r}")
        if self.config is not None:
            _check_config(self.name, self.config)

    def make(self, config: msgspec.Struct | None = None) -> T_co:
        """Build one instance, with the options' defaults where none are given.

        Raises:
            TypeError: Options are required and none were given, or they are of another class.
        """
        if self.config is None:
            if config is not None:
                raise TypeError(f"{self.name!r} takes no options")
            return self.build()
        if config is None:
            config = self.config()
        if not isinstance(config, self.config):
            raise TypeError(f"{self.name!r} takes {self.config.__name__}, not {type(config).__name__}")
        return self.build(config)


class LazyCommand(msgspec.Struct, frozen=True):
    """A command of the terminal that is imported only when it runs."""

    name: str
    """The verb."""
    help: str
    """One line for ``agentkit --help``."""
    target: str
    """Where the click command is: ``module:attribute``."""

    def __post_init__(self) -> None:
        """Refuse what could only fail when the command runs.

        Raises:
            TypeError: The name is no verb, the help is not one line, or the target not ``module:attribute``.
        """
        if not is_name(self.name) or self.name.startswith("-"):
            raise TypeError(f"LazyCommand: the name must be a verb such as 'tides', not {self.name!r}")
        if not isinstance(self.help, str) or not self.help.strip() or not self.help.isprintable():
            raise TypeError(f"LazyCommand {self.name!r}: help must be one line, not {self.help!r}")
        if not isinstance(self.target, str) or _TARGET.fullmatch(self.target) is None:
            raise TypeError(f"LazyCommand {self.name!r}: target must be 'module:attribute', not {self.target!r}")


class Owner(msgspec.Struct, frozen=True):
    """Who brought a name."""

    plugin: str
    """The entry point's name."""
    distribution: str = ""
    """The distribution that declares it; empty for a plugin that was given in code."""
    version: str = ""

    def __str__(self) -> str:
        source = f"{self.distribution} {self.version}".strip()
        return f"{self.plugin} ({source})" if source else self.plugin


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class Entry(msgspec.Struct, frozen=True):
    """One registered name."""

    name: str
    owner: Owner
    load: Callable[[], object]
    """Gives the object; the plugin is imported here if it was not yet."""
    plain: bool = True
    """Whether the name alone can mean it; the names that are agentkit's own never mean a plugin's."""

    @property
    def qualified(self) -> str:
        """The spelling that is never ambiguous."""
        return f"{self.owner.plugin}:{self.name}"


class Registry:
    """Names of every kind, each with its owner."""

    def __init__(self) -> None:
        self._entries: dict[Kind, dict[str, list[Entry]]] = {kind: {} for kind in KINDS}

    def add(self, kind: Kind, name: str, *, owner: Owner, load: Callable[[], object], plain: bool = True) -> None:
        """Register a name; a second owner of the same name is kept beside the first.

        Args:
            plain: Whether the name alone can mean it; otherwise only ``plugin:name`` does.

        Raises:
            ValueError: The name is empty, longer than 64 characters, or holds a space or a colon.
            DuplicateNameError: This plugin gave the name before.
        """
        if not is_name(name):
            raise ValueError(f"{name!r} cannot be a name: 1 to 64 characters without spaces and colons")
        entries = self._entries[kind].setdefault(name, [])
        if any(entry.owner.plugin == owner.plugin for entry in entries):
            raise DuplicateNameError(
                f"plugin {owner} gives the {SINGULAR[kind]} `{name}` twice",
                plugin=owner.plugin,
                distribution=owner.distribution or None,
            )
        entries.append(Entry(name, owner, load, plain))

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Return every name that ``get`` finds, sorted; a shared name appears in its qualified spellings."""
        found: list[str] = []
        for name, entries in self._entries[kind].items():
            shared = sum(entry.plain for entry in entries) > 1
            found.extend(name if entry.plain and not shared else entry.qualified for entry in entries)
        return tuple(sorted(found))

    def find(self, kind: Kind, name: str) -> Entry | None:
        """Return the entry of a plain or qualified name, or None where there is none.

        Raises:
            DuplicateNameError: Several plugins give the plain name.
        """
        plugin, colon, plain = name.rpartition(":")
        entries = [
            entry
            for entry in self._entries[kind].get(plain, [])
            if (entry.owner.plugin == plugin if colon else entry.plain)
        ]
        if len(entries) > 1:
            raise _duplicate(kind, plain, entries)
        return entries[0] if entries else None

    def get(self, kind: Kind, name: str) -> Entry:
        """Return the entry of a plain or qualified name.

        Raises:
            DuplicateNameError: Several plugins give the plain name.
            UnknownNameError: No plugin gives it; carries every known name, and the message the nearest.
        """
        entry = self.find(kind, name)
        if entry is None:
            raise self._unknown(kind, name)
        return entry

    def _unknown(self, kind: Kind, name: str) -> UnknownNameError:
        known = self.names(kind)
        plugin, colon, plain = name.rpartition(":")
        if colon:
            own = sorted(
                entry.name
                for entries in self._entries[kind].values()
                for entry in entries
                if entry.owner.plugin == plugin
            )
            message = f"plugin `{plugin}` gives no {SINGULAR[kind]} called `{plain}`"
            near = [f"{plugin}:{match}" for match in nearest(plain, own)] or nearest(name, known)
        else:
            message = f"no {SINGULAR[kind]} is called `{name}`"
            near = nearest(name, known)
        if near:
            owner = self.get(kind, near[0]).owner
            source = f" (from {owner.distribution} {owner.version})" if owner.distribution else ""
            message += f"; did you mean `{near[0]}`{source}?"
        elif known:
            message += f"; known: {', '.join(known)}"
        return UnknownNameError(message, name=name, known=known, plugin=plugin or None)


def is_name(name: object) -> bool:
    """Tell whether something can be registered as a name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three known names that look like a mistyped one, the nearest first."""
    folded = {candidate.casefold(): candidate for candidate in known}
    return [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)]


def check_items(kind: Kind, returned: object) -> dict[str, object]:
    """Check what a hook returned for a kind, and return it by name.

    Raises:
        PluginLoadError: It is no iterable, an item is of a wrong type or badly named, or a name comes twice.
    """
    hook = f"register_{kind}"
    if inspect.iscoroutine(returned):
        returned.close()
        raise PluginLoadError(f"{hook} is async, but hooks are plain functions")
    if returned is None:
        raise PluginLoadError(f"{hook} returned None; is a `return` missing?")
    if not isinstance(returned, Iterable):
        raise PluginLoadError(f"{hook} returned {_described(returned)}; it must return a list")
    allowed = _types(kind)
    items: dict[str, object] = {}
    for position, item in enumerate(itertools.islice(returned, _MAX_ITEMS + 1)):
        if position == _MAX_ITEMS:
            raise PluginLoadError(f"{hook} returned more than {_MAX_ITEMS} items")
        if not isinstance(item, allowed):
            raise PluginLoadError(f"{hook} returned {_described(item)} as item {position}; {_ADVICE[kind]}")
        name = item.name
        if not is_name(name):
            raise PluginLoadError(
                f"{hook} returned the name {name!r}; a name has 1 to 64 characters without spaces and colons"
            )
        if name in items:
            raise PluginLoadError(f"{hook} returned the name `{name}` twice")
        if isinstance(item, Factory) and item.config is not None:
            _check_types(hook, name, item.config)
        items[name] = item
    return items


def check_product(kind: Kind, product: object) -> str | None:
    """Return what is wrong with what a factory of a kind built; None where nothing is."""
    if kind == "tools":
        from agentkit.tools import Tool, Toolset

        fits, wanted = isinstance(product, Tool | Toolset), "a Tool or a Toolset"
    elif kind == "middleware":
        from agentkit.middleware import Middleware

        fits, wanted = isinstance(product, Middleware), "a Middleware"
    elif kind == "providers":
        from agentkit.transports.base import Provider

        fits, wanted = isinstance(product, Provider), "a Provider"
    else:
        # The embedded server, which has the class, lies above this module.
        fits, wanted = callable(getattr(product, "respond", None)), "a Responder"
    if fits:
        return None
    return f"its build returned {'nothing' if product is None else _described(product)}, and it must return {wanted}"


def _check_config(name: str, config: type[msgspec.Struct]) -> None:
    if not config.__struct_config__.frozen:
        raise TypeError(
            f"Factory {name!r}: {config.__name__} must be frozen: class {config.__name__}(Struct, frozen=True)"
        )
    for key in config.__struct_encode_fields__:
        if key.lower() in _TRUTH_WORDS:
            raise TypeError(
                f"Factory {name!r}: {config.__name__}.{key} would be a truth value in YAML; give it another name"
            )


def _check_types(hook: str, name: str, config: type[msgspec.Struct]) -> None:
    """Refuse annotations that only a type checker can resolve."""
    try:
        msgspec.structs.fields(config)
    except NameError as error:
        raise PluginLoadError(
            f"{hook}: the options of `{name}` cannot be read: {error} in the annotations of {config.__name__};"
            " import it outside of `if TYPE_CHECKING`"
        ) from error


_ADVICE: Final[Mapping[Kind, str]] = {
    "tools": "each must be a tool (a function marked with @tool) or a Factory, also for a Toolset",
    "middleware": 'each must be a Factory, such as Factory("name", TheMiddleware, TheConfig)',
    "presets": "each must be a Preset",
    "providers": 'each must be a Factory, such as Factory("name", TheProvider, TheConfig)',
    "responders": 'each must be a Factory, such as Factory("name", TheResponder, TheConfig)',
    "commands": "each must be a LazyCommand",
}


def _types(kind: Kind) -> tuple[type[_Named], ...]:
    # Imported here, so that a program without plugins pays for neither.
    if kind == "tools":
        from agentkit.tools import Tool

        return (Tool, Factory)
    if kind == "presets":
        from agentkit.presets import Preset

        return (Preset,)
    return (LazyCommand,) if kind == "commands" else (Factory,)


def _described(item: object) -> str:
    if inspect.isclass(item):
        return f"the class {item.__name__}"
    if inspect.isroutine(item):
        return f"the function {item.__name__}"
    name = type(item).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _duplicate(kind: Kind, name: str, entries: list[Entry]) -> DuplicateNameError:
    owners = " and ".join(str(entry.owner) for entry in entries)
    spellings = " or ".join(f"`{entry.qualified}`" for entry in entries)
    return DuplicateNameError(
        f"the {SINGULAR[kind]} `{name}` is given by several plugins: {owners}; write {spellings}",
        hint=f"write {spellings}",
    )
