"""What the options of a plugin are, in words, read from its config classes: for ``agentkit plugins`` and for READMEs.

Rule: a description is the string below a field, as everywhere in agentkit, so it is written once. Where the source
cannot be read there is none.
"""

import ast
import enum
import functools
import inspect
import itertools
import re
import textwrap
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, Union, cast, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from agentkit.config.nodes import Block, core_kind
from agentkit.config.scalars import describe_type, is_parsed, one_of, unwrap
from agentkit.config.shape import fields_of
from agentkit.hookspecs import collect
from agentkit.registry import Factory
from agentkit.values import DURATION, SIZE, Secret

_LISTS: Final = (list, tuple, set, frozenset, Sequence)
_MAPS: Final = (dict, Mapping)
_BOUNDS: Final = (
    ("ge", "at least {:g}"),
    ("gt", "above {:g}"),
    ("le", "at most {:g}"),
    ("lt", "below {:g}"),
)
_DURATIONS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_SIZES: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_PLAIN: Final = re.compile(r"[\w./](?:[\w./{}@+-]|:(?=[^\s])| (?=[^\s#]))*", re.ASCII)
_BEGIN: Final = re.compile(r"<!-- options: (?P<names>[^\n]+?) -->\n")
_END: Final = "<!-- /options -->"
_HEAD: Final = "| option | type | default | meaning |\n| --- | --- | --- | --- |\n"


class Option(Struct, frozen=True, kw_only=True):
    """One key of a ``with:``."""

    name: str
    """The key; one of an inner block has the path: ``retry.count``, ``rules[].name``."""
    type: str
    """What its value is, in words."""
    required: bool
    """Whether there is no default."""
    default: str | None = None
    """As the file would say it; None where there is none, and empty for a block whose keys have defaults."""
    description: str = ""
    """The string below the field, with code in single backticks; empty where there is none."""


@functools.lru_cache(maxsize=256)
def options_of(config: type[Struct]) -> tuple[Option, ...]:
    """Return the options that a config class stands for, in the order in which it has them."""
    return tuple(_options(config, "", ()))


@functools.lru_cache(maxsize=256)
def field_docs(cls: type) -> Mapping[str, str]:
    """Return the string below each field of a class and its bases, on one line, by the field's name."""
    docs: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        try:
            (node,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        except (OSError, TypeError, SyntaxError, ValueError):
            continue  # a class of the interpreter's own, or of no file
        body = node.body if isinstance(node, ast.ClassDef) else []
        for field, after in itertools.pairwise(body):
            match field, after:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    docs[name] = " ".join(text.split())
    return docs


def options_table(config: type[Struct]) -> str:
    """Return a Markdown table of the options of a config class."""
    rows = []
    for option in options_of(config):
        cells = (
            f"`{option.name}`",
            option.type,
            default_in_words(option, code="`"),
            option.description.replace("``", "`"),
        )
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n")
    return _HEAD + "".join(rows)


def unclear_options(config: type[Struct]) -> list[str]:
    """Return the keys that are required and may be null, so that nobody knows whether to write them."""
    unions = {key: unwrap(info.type)[0] for key, info in fields_of(config).items() if info.required}
    return [
        key
        for key, core in unions.items()
        if get_origin(core) in (Union, types.UnionType) and type(None) in get_args(core)
    ]


def default_in_words(option: Option, *, code: str = "") -> str:
    """Say the default of an option, the file's own text between ``code``."""
    if option.required:
        return "required"
    if option.default is None:
        return "none"
    return f"{code}{option.default}{code}" if option.default else ""


def options_by_name(plugin: object) -> dict[str, type[Struct] | None]:
    """Return the config class of everything that a plugin builds from options, by name; None for what takes none.

    Args:
        plugin: The module, or the object, that has the hooks.

    Raises:
        PluginLoadError: What it registers cannot be used.
        ValueError: Two kinds of one name have different options.
    """
    found: dict[str, type[Struct] | None] = {}
    for items in collect(plugin).values():
        for name, item in items.items():
            config = item.config if isinstance(item, Factory) else None
            if found.setdefault(name, config) is not config:
                raise ValueError(f"`{name}` is the name of two things with different options")
    return found


def options_tables(plugin: object) -> str:
    """Return a table for everything that has options, each between the marks that ``fill_options`` knows.

    Raises:
        PluginLoadError: What the plugin registers cannot be used.
        ValueError: Two kinds of one name have different options.
    """
    sharing: dict[type[Struct], list[str]] = {}
    for name, config in options_by_name(plugin).items():
        if config is not None:
            sharing.setdefault(config, []).append(name)
    return "\n".join(
        f"<!-- options: {', '.join(names)} -->\n\n{options_table(config)}\n{_END}\n"
        for config, names in sharing.items()
    )


def fill_options(page: str, plugin: object) -> str:
    """Return a page with a table of options between each ``<!-- options: NAME -->`` and ``<!-- /options -->``.

    What shares its options with others is named with them: ``<!-- options: set_memory, get_memory -->``. A page that
    comes back as it was given is up to date, which is what a test of a README asserts.

    Args:
        plugin: The module, or the object, that has the hooks.

    Raises:
        PluginLoadError: What the plugin registers cannot be used.
        ValueError: A pair names something that has no options, or has no end; or options are on no table.
    """
    known = {name: config for name, config in options_by_name(plugin).items() if config is not None}
    shown: set[str] = set()
    parts: list[str] = []
    position = 0
    for begin in _BEGIN.finditer(page):
        names = [name.strip() for name in begin["names"].split(",")]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"`{unknown[0]}` has no options; those that have: {', '.join(known) or 'none'}")
        if len({known[name] for name in names}) > 1:
            raise ValueError(f"{one_of(names)} have different options, so each needs a table of its own")
        end = page.find(_END, begin.end())
        if end < 0 or _BEGIN.search(page, begin.end(), end):
            raise ValueError(f"<!-- options: {begin['names']} --> has no {_END} behind it")
        parts += [page[position : begin.end()], "\n", options_table(known[names[0]]), "\n"]
        position = end
        shown.update(names)
    missing = [name for name in known if name not in shown]
    if missing:
        raise ValueError(f"the options of `{missing[0]}` are on no table: <!-- options: {missing[0]} --> {_END}")
    return "".join(parts) + page[position:]


def _options(config: type[Struct], prefix: str, around: tuple[type[Struct], ...]) -> Iterable[Option]:
    docs = field_docs(config)
    for key, info in fields_of(config).items():
        inner = [] if info.type is Block else list(_blocks(info.type))
        yield Option(
            name=prefix + key,
            type=type_in_words(info.type),
            required=info.required,
            default=_default(info, tuple(cls for cls, _ in inner)),
            description=(_meta_description(info.type) or docs.get(info.name, "")).replace("``", "`"),
        )
        for cls, mark in inner:
            if cls not in around and cls is not config:
                yield from _options(cls, f"{prefix}{key}{mark}.", (*around, config))


def _default(info: msgspec.structs.FieldInfo, blocks: tuple[type[Struct], ...]) -> str | None:
    value: object = info.default
    if info.default_factory is not msgspec.NODEFAULT:
        value = info.default_factory()
    if info.required or value is None or (isinstance(value, Secret) and not value):
        return None
    return "" if isinstance(value, (*blocks, Block)) else written(value, info.type)


def _blocks(expected: object) -> Iterable[tuple[type[Struct], str]]:
    """Find the classes of the blocks inside of a value, each with how its keys' paths go on."""
    core, _ = unwrap(expected)
    origin = get_origin(core) or core
    if isinstance(core, type) and issubclass(core, Struct):
        if core is not Block and not is_parsed(core):
            yield core, ""
    elif origin in (Union, types.UnionType):
        for member in get_args(core):
            yield from _blocks(member)
    elif origin in _LISTS:
        for cls, mark in _blocks(next(iter(get_args(core)), object)):
            yield cls, f"[]{mark}"
    elif origin in _MAPS and get_args(core):
        for cls, mark in _blocks(get_args(core)[1]):
            yield cls, f".NAME{mark}"


def type_in_words(expected: object) -> str:
    """Say what a value of a type is, as someone who writes YAML thinks of it."""
    core, metas = unwrap(expected)
    origin = get_origin(core) or core
    arguments = get_args(core)
    if core is object:
        return "anything"
    if origin in (Union, types.UnionType):
        members = [type_in_words(member) for member in arguments if member is not type(None)]
        return one_of(dict.fromkeys(members))
    words, item = describe_type(expected), None
    if core is Path:
        words = "a path"
    elif origin is Literal:
        words = one_of(f"`{choice}`" for choice in arguments)
    elif isinstance(core, type) and issubclass(core, enum.Enum):
        words = one_of(f"`{member.value}`" for member in core)
    elif origin in _LISTS:
        words, item = "a list", next(iter(arguments), None)
    elif origin in _MAPS:
        words, item = "a block of keys", arguments[1] if len(arguments) == 2 else None
    limits = [text.format(limit) for meta in metas for text, limit in _limits(meta)]
    words = f"{words}, {' and '.join(limits)}" if limits else words
    return words if item is None or item is object else f"{words}; each {type_in_words(item)}"


def _limits(meta: Meta) -> Iterable[tuple[str, float]]:
    # A duration's or a size's lower bound goes without saying.
    if not (meta.extra or {}).get("unit"):
        for name, text in _BOUNDS:
            limit = getattr(meta, name)
            if limit is not None:
                yield text, limit
    if meta.min_length:
        yield ("not empty", 0) if meta.min_length == 1 else ("at least {} long", meta.min_length)


def _meta_description(expected: object) -> str:
    return next((" ".join(meta.description.split()) for meta in unwrap(expected)[1] if meta.description), "")


def written(value: object, expected: object = object) -> str:
    """Write a value as a configuration would say it; a secret is masked."""
    core, metas = unwrap(expected)
    unit = next((meta.extra["unit"] for meta in metas if meta.extra and "unit" in meta.extra), None)
    if value is None:
        return "null"
    if unit in (DURATION, SIZE) and isinstance(value, int | float):
        return _measured(value, str(unit))
    if get_origin(core) in (Union, types.UnionType):
        fitting = [member for member in get_args(core) if _could_be(value, member)]
        return written(value, fitting[0] if fitting else object)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, enum.Enum):
        return written(value.value)
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str | Path):
        text = str(value)
        return text if _PLAIN.fullmatch(text) and core_kind(text) == "str" else msgspec.json.encode(text).decode()
    arguments = get_args(core)
    if isinstance(value, Mapping):
        item = arguments[1] if len(arguments) == 2 else object
        return "{" + ", ".join(f"{key}: {written(each, item)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        item = arguments[0] if arguments else object
        texts = [written(each, item) for each in value]
        return "[" + ", ".join(sorted(texts) if isinstance(value, set | frozenset) else texts) + "]"
    if isinstance(value, Struct) and not is_parsed(type(value)):
        cls = type(value)
        pairs = [(key, getattr(value, info.name), info) for key, info in fields_of(cls).items()]
        said = [f"{key}: {written(each, info.type)}" for key, each, info in pairs if each != info.default]
        return "{" + ", ".join(said) + "}"
    return str(value)


def json_value(value: object, expected: object = object) -> object:
    """Return a value as JSON data that a configuration could have; None for a secret, a block, and what has no form."""
    core, metas = unwrap(expected)
    unit = next((meta.extra["unit"] for meta in metas if meta.extra and "unit" in meta.extra), None)
    if get_origin(core) in (Union, types.UnionType):
        fitting = [member for member in get_args(core) if _could_be(value, member)]
        return json_value(value, fitting[0]) if fitting else None
    if unit in (DURATION, SIZE) and isinstance(value, int | float):
        return _measured(value, str(unit))
    if isinstance(value, enum.Enum):
        return json_value(value.value)
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    arguments = get_args(core)
    if isinstance(value, Mapping):
        item = arguments[1] if len(arguments) == 2 else object
        return {str(key): json_value(each, item) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        item = arguments[0] if arguments else object
        values = [json_value(each, item) for each in value]
        return sorted(values, key=str) if isinstance(value, set | frozenset) else values
    if value is None or isinstance(value, Secret) or not is_parsed(type(value)):
        return None
    return str(value)


def _could_be(value: object, member: object) -> bool:
    core, _ = unwrap(member)
    kind = get_origin(core) or core
    return isinstance(kind, type) and isinstance(value, cast("type[object]", kind))


def _measured(value: float, unit: str) -> str:
    if unit == DURATION and 0 < value < 1:
        return f"{value * 1000:g}ms"
    for step, mark in _DURATIONS if unit == DURATION else _SIZES:
        if value >= step and value % step == 0:
            return f"{value / step:g}{mark}"
    return f"{value:g}s" if unit == DURATION else f"{int(value)}B"
