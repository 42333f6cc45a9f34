"""The schema takes what ``check`` takes and refuses what it refuses, as far as a schema can know."""

import functools
import json
import random
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # it has no annotations
from msgspec import Struct

from agentkit.config import Diagnostic
from agentkit.config.build import examine
from agentkit.config.diagnostics import Problems
from agentkit.config.json_schema import json_schema
from agentkit.config.loader import read_yaml
from agentkit.config.nodes import Block, Source
from agentkit.config.scalars import is_parsed, unwrap
from agentkit.config.schema import Config, Guardrail, Layer, PluginTool, Provider
from agentkit.config.shape import discriminator, fields_of
from agentkit.config.walk import to_python
from agentkit.plugins import Plugins, load_plugins
from agentkit.registry import Factory, Kind
from agentkit.values import DURATION, SIZE, AudioFormat
from tests.config.fixtures import Case, cases

ROOT: Final = Path(__file__).parents[2]
FIRST_PARTY: Final = ("basics", "guard", "mcp", "observe")

UNKNOWABLE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("AK00", "AK010", "AK011"), "how a text is written, of which an editor's reader makes data"),
    "AK204": "whether a file is there",
    "AK205": "where a file is",
    "AK206": "what other files say",
    "AK207": "what a Python file has",
    "AK208": "what a plugin's own code makes of options",
    "AK301": "whether a variable is set",
    "AK304": "which variables a prompt has",
    "AK404": "two items with one name, which are looked at one by one",
    "AK406": "what a guard's own code says of itself",
    "AK407": "who hands over to whom",
}
"""The findings of ``check`` that no schema can know of, by the beginning of their code, with what it would need."""

SAYINGS: Final[Mapping[str, str]] = {
    "cannot be used:": "a class that checks its fields together",
    "cannot have one name": "whether a tool's code gives a set of tools",
    "no agent is called": "the keys of another block",
    "hands over to itself": "the value of another key",
    "is named twice": "the value of another key",
    "is switched off": "which plugin a key needs, of those that the file allows",
    "two agents are handed": "the value of another key",
}
"""The same for codes that a schema mostly knows, by a part of the message."""


@functools.cache
def first_party() -> Plugins:
    return load_plugins(environ={}).restrict(FIRST_PARTY)


@functools.cache
def validator_of_all() -> Any:
    schema = json_schema(first_party())
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


@pytest.fixture(autouse=True, scope="module")
def _needed() -> None:
    for name in FIRST_PARTY:
        pytest.importorskip(f"agentkit_{name}")


def data_of(text: str) -> object:
    """Read a text as an editor does: without presets, other files and variables."""
    problems = Problems()
    node = read_yaml(Source("<text>", text), problems)
    return None if node is None or problems.errors else to_python(node)


def certain(diagnostics: Sequence[Diagnostic], data: object) -> bool | None:
    """Tell whether a schema has to refuse what ``check`` finds; None where it knows only a part of the matter."""
    errors = [each for each in diagnostics if each.severity == "error" and not _is_unknowable(each)]
    builds = isinstance(data, dict) and (data.get("preset") or data.get("extends"))
    for each in errors:
        # What is missing, or goes with what is not said, may come from what the file builds on.
        brought = builds and each.code in ("AK103", "AK401", "AK403") and "[" not in (each.key or "")
        # What a tool's own code says of it is known where nothing has to be built for that.
        if not brought and each.code != "AK405":
            return True
    return None if errors else False


def _is_unknowable(found: Diagnostic) -> bool:
    return found.code.startswith(tuple(UNKNOWABLE)) or any(text in found.message for text in SAYINGS)


def refusals(data: object) -> list[str]:
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator_of_all().iter_errors(data)]


# What is shipped


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_the_schema_takes_a_configuration_of_the_project(path: Path) -> None:
    assert refusals(data_of(path.read_text(encoding="utf-8"))) == []


# What is wrong

READABLE: Final = [
    case
    for folder in ("invalid", "several")
    for case in cases(folder)
    if data_of(case.path.read_bytes().decode("utf-8", "replace")) is not None
]


@pytest.mark.parametrize("case", READABLE, ids=lambda case: f"{case.path.parent.name}-{case.name}")
def test_the_schema_refuses_a_fixture_where_check_finds_what_it_can_know(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case.path.parent)
    text = case.path.read_bytes().decode("utf-8", "replace")
    data = data_of(text)
    _, diagnostics = examine(case.name, overrides=(), environ={}, plugins=first_party())
    own = [each for each in diagnostics if each.file == case.name]
    expected = certain(own, data)
    found = refusals(data)
    assert expected is None or bool(found) == expected, (own, found)


# What is generated

KINDS: Final[Mapping[type[Struct], Kind]] = {
    Provider: "providers",
    PluginTool: "tools",
    Layer: "middleware",
    Guardrail: "middleware",
}
TEXTS: Final = (
    "",
    "x",
    "5s",
    "0s",
    "250ms",
    "1MiB",
    "0.5B",
    "pcm16@7999",
    "g711_ulaw@16000",
    "auto",
    "inf",
    "true",
    "8",
)
JUNK: Final[tuple[object, ...]] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    5,
    70_000,
    0.5,
    "${",
    "a $$ ${1}",
    [],
    {},
    ["x"],
    {"x": 1},
    [None],
    [[]],
    *TEXTS,
)
ODD: Final = 0.02
"""How often a value is any other."""


class Writer:
    """Writes configurations by their classes, most of them right and some wrong, from one random number each."""

    def __init__(self, plugins: Plugins, chance: random.Random) -> None:
        self._plugins = plugins
        self._chance = chance

    def block(self, cls: type[Struct], depth: int = 0) -> dict[str, object]:
        said: dict[str, object] = {}
        for key, info in fields_of(cls).items():
            likely = 0.99 if (info.required and info.type is not Block) or key == discriminator(cls) else 0.2
            if self._chance.random() < likely:
                said[key] = self._field(cls, key, info.type, said, depth)
        if self._chance.random() < ODD:
            said[self._chance.choice(["nope", "use", "python", "name", "at", "with"])] = self._chance.choice(JUNK)
        return said

    def _field(self, cls: type[Struct], key: str, expected: object, said: Mapping[str, object], depth: int) -> object:
        chance = self._chance
        if expected is Block:
            return self._options(cls, key, said, depth)
        if cls in KINDS and key == "use":
            return chance.choice([*self._names(KINDS[cls]) * 5, "nope", "now:nope", ""])
        few: dict[str, list[object]] = {
            "preset": ["voice", ["text"], ["nope"], [], None],
            "extends": [None, []],
            "plugins": [None, [*FIRST_PARTY], ["basics"], []],
        }
        if cls is Config and key in few:
            return chance.choice(few[key])
        if cls is Config and key == "provider" and chance.random() < 0.6:
            return {"use": "local"}
        if key == "responder":
            return chance.choice(["rules", "chat", "agentkit:chat", "nope"])
        return None if chance.random() < ODD else self.value(expected, depth + 1)

    def _options(self, cls: type[Struct], key: str, said: Mapping[str, object], depth: int) -> object:
        use, kind = ("mcp", "tools") if key == "mcp" else (said.get("use"), KINDS[cls])
        if use in self._names(kind) and self._chance.random() < 0.95:
            entry = self._plugins.get(kind, use)
            if isinstance(entry, Factory) and entry.config is not None:
                return self.block(entry.config, depth + 1)
        return self._chance.choice([None, {}, {"zz": 1}])

    def _names(self, kind: Kind) -> list[str]:
        qualified = [f"{row.name}:{name}" for row in self._plugins.report() for name in row.registers.get(kind, ())]
        return [*self._plugins.names(kind), *qualified]

    def value(self, expected: object, depth: int) -> object:
        chance = self._chance
        core, metas = unwrap(expected)
        origin, arguments = get_origin(core) or core, get_args(core)
        if core is object or chance.random() < ODD:
            return chance.choice(JUNK)
        if origin in (Union, types.UnionType):
            return self.value(chance.choice([each for each in arguments if each is not type(None)]), depth)
        if isinstance(core, type) and issubclass(core, Struct) and not is_parsed(core):
            return self.block(core, depth)
        if origin is Literal:
            return chance.choice(arguments)
        if origin in (list, tuple, Sequence):
            return [self.value(arguments[0], depth + 1) for _ in range(chance.choice([0, 1, 1, 2]))]
        if origin in (dict, Mapping):
            names = chance.sample(["a", "b", "c"], chance.choice([0, 1, 2]))
            return {name: self.value(arguments[1], depth + 1) for name in names}
        unit = next((meta.extra["unit"] for meta in metas if meta.extra and "unit" in meta.extra), None)
        choices: dict[object, list[object]] = {
            DURATION: ["5s", "250ms", "1d", "0.5m", "0s"],
            SIZE: ["5B", "1MiB", "0.5kB", "0B"],
            bool: [True, False],
            int: [1, 2, 8, 5, 100, 0, -1],
            float: [1, 0.5, 0.25, 0.75, 0, 1.25, 3, -0.5],
            AudioFormat: ["pcm16@24000", "pcm16@008000", "g711_ulaw@8000", "g711_alaw@16000", "pcm16@48001"],
        }
        return chance.choice(choices.get(unit or core, ["x", "y z", "text", "a.b:c"] * 20 + ["", "x" * 201]))


@settings(max_examples=150)
@given(seed=st.integers(0, 2**64))
def test_the_schema_and_check_agree_on_configurations_of_every_shape(seed: int) -> None:
    plugins = first_party()
    data = Writer(plugins, random.Random(seed)).block(Config)
    _, diagnostics = examine("<text>", text=json.dumps(data), environ={}, plugins=plugins)
    found = refusals(data)
    if certain(diagnostics, data):
        assert found, (data, diagnostics)
    elif all(each.severity != "error" for each in diagnostics):
        assert found == [], (data, found)
