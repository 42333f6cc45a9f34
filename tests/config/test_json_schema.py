"""The JSON Schema of configurations: what an editor is told of each key, and what it takes and refuses."""

import enum
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # it has no annotations
from msgspec import Meta, Struct, field

from agentkit import Duration, Factory, Middleware, Preset, Secret, Size, Timeout, hookimpl, tool
from agentkit.config.json_schema import is_stale, json_schema, schema_text, write_schema
from agentkit.plugins import Plugins
from agentkit.values import AudioFormat


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Rule(Struct, frozen=True, kw_only=True):
    name: str
    """What it is called."""
    under: "tuple[Rule, ...]" = ()


class Options(Struct, frozen=True, kw_only=True):
    """The options of a box."""

    path: Path
    """Where it is; ``{name}`` is filled in."""
    wait: Timeout = 2.5
    """How long."""
    gap: Duration = 0.0
    room: Size = 1024
    rules: tuple[Rule, ...] = ()
    colour: Colour = Colour.RED
    level: Literal[1, 2] = 1
    key: Secret | None = None
    form: AudioFormat | None = None
    port: Annotated[int, Meta(ge=1, le=9, examples=[7])] | None = None
    either: str | tuple[str, ...] = "x"
    pairs: dict[str, float] = field(default_factory=dict)
    free: object = None


@tool(secret=["pin"], effects="dangerous")
def pay(euros: float, pin: str) -> str:
    """Pay somebody."""
    return "paid"


@tool(effects="reads")
def look() -> str:
    """Look at it."""
    return "seen"


class Layer(Middleware):
    critical = True


class House:
    @hookimpl
    def register_tools(self) -> list[Any]:
        return [pay, look, Factory("box", lambda options: look, Options, "A box.")]

    @hookimpl
    def register_middleware(self) -> list[Any]:
        return [Factory("bare", Layer, None, "A layer."), Factory("boxed", Layer, Options)]

    @hookimpl
    def register_presets(self) -> list[Preset]:
        return [Preset("calm", {"session": {"speed": 1}}, "Slowly.")]


class Annex:
    @hookimpl
    def register_tools(self) -> list[Any]:
        return [look]


HOUSE = Plugins.from_modules({"house": House()})
SCHEMA = json.loads(json.dumps(json_schema(HOUSE)))
BASE = {"agent": {}, "provider": {"use": "local"}}


def refused(said: dict[str, Any], schema: Any = SCHEMA) -> list[str]:
    return [error.message for error in Draft7Validator(schema).iter_errors(said)]


def takes(**said: Any) -> bool:
    return not refused(BASE | said)


def option(**said: Any) -> bool:
    return takes(tools=[{"use": "box", "with": {"path": "x"} | said}])


def described(*path: str) -> dict[str, Any]:
    found: Any = SCHEMA
    for part in path:
        link = found.get("$ref") or found.get("allOf", [{}])[0].get("$ref")
        found = SCHEMA["definitions"][link.rpartition("/")[2]] if link else found
        found = found["properties"][part]
    return dict(found)


def test_it_is_a_schema_of_draft_7_and_says_what_it_is_of() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert SCHEMA["additionalProperties"] is False


def test_every_reference_leads_to_a_definition() -> None:
    def references(value: object) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    assert {each.removeprefix("#/definitions/") for each in references(SCHEMA)} <= set(SCHEMA["definitions"])


def test_a_key_has_the_words_below_its_field_and_its_default() -> None:
    voice = described("session", "voice")
    assert voice["description"] == "The voice, by the provider's name for it."
    limit = described("limits", "on_limit")
    assert (limit["default"], limit["markdownDescription"].endswith("Default: `close`")) == ("close", True)
    assert described("recording", "path")["default"] == "recordings/{date}-{session}"
    assert "`{{name}}`" in described("agent", "instructions")["description"]


def test_the_options_of_a_plugin_have_them_too() -> None:
    options = SCHEMA["definitions"][next(name for name in SCHEMA["definitions"] if name.endswith(".Options"))]
    assert options["properties"]["wait"]["description"] == "How long."
    assert options["properties"]["wait"]["default"] == "2.5s"
    assert options["properties"]["wait"]["examples"] == ["250ms", "5s", "15m"]
    assert options["properties"]["port"]["examples"] == [7]
    assert options["properties"]["colour"]["default"] == "red"
    assert "default" not in options["properties"]["path"]


def test_names_are_offered_with_what_each_is() -> None:
    offered = next(each for each in _tool_use()["anyOf"] if "enum" in each)
    words = dict(zip(offered["enum"], offered["enumDescriptions"], strict=True))
    assert words == {"box": "A box.", "look": "Look at it.", "pay": "Pay somebody."}


def _tool_use() -> Any:
    item = next(each for name, each in SCHEMA["definitions"].items() if "-or-" in name)
    return item["properties"]["use"]


@pytest.mark.parametrize(
    "said, taken",
    [
        ({"wait": "5s"}, True),
        ({"wait": "0.5m"}, True),
        ({"wait": "0s"}, False),
        ({"wait": 5}, False),
        ({"wait": "5"}, False),
        ({"wait": "5 s"}, False),
        ({"gap": "0s"}, True),
        ({"room": "1MiB"}, True),
        ({"room": 1024}, False),
        ({"colour": "blue"}, True),
        ({"colour": "green"}, False),
        ({"level": 2}, True),
        ({"level": "2"}, False),
        ({"form": "pcm16@24000"}, True),
        ({"form": "pcm16@7999"}, False),
        ({"port": 9}, True),
        ({"port": 10}, False),
        ({"port": 1.5}, False),
        ({"port": None}, True),
        ({"either": "x"}, True),
        ({"either": ["x", "y"]}, True),
        ({"either": 1}, False),
        ({"either": [1]}, False),
        ({"pairs": {"a": 1, "b": None}}, True),
        ({"pairs": {"a": "x"}}, False),
        ({"rules": [{"name": "a", "under": [{"name": "b"}]}]}, True),
        ({"rules": [{"name": "a", "under": [{}]}]}, False),
        ({"rules": ["inherit"]}, False),
        ({"key": "anything"}, True),
        ({"key": 5}, False),
        ({"free": [{"x": None}, 1.5, "y"]}, True),
        ({"free": ["${"]}, False),
        ({"path": None}, False),
        ({"paht": "x"}, False),
    ],
)
def test_a_value_is_taken_where_its_type_takes_it(said: dict[str, Any], taken: bool) -> None:
    assert option(**said) == taken


@pytest.mark.parametrize("key", ["wait", "room", "colour", "level", "form", "port", "path", "key", "either", "free"])
def test_a_variable_may_stand_for_every_single_value(key: str) -> None:
    for text in ("${A}", "${A:-8}", "${A:?say: it}"):
        assert option(**{key: text})
    for text in ("${", "${1}", "${A:+b}", "${A:-{x}}"):
        assert not option(**{key: text})


def test_a_part_of_a_number_is_no_variable() -> None:
    assert not option(port="1${A}")
    assert option(wait="${A}s")
    assert option(path="costs $${x} and $5 in ${A}/x")


def test_null_puts_a_default_back_and_stands_for_nothing_that_is_needed() -> None:
    assert takes(session=None, tools=None, limits={"turns": None}, agents={"b": None})
    assert refused({"agent": None, "provider": {"use": "local"}})
    assert refused({"agent": {}, "provider": {"use": None}})
    assert not takes(tools=[None])


def test_a_configuration_that_stands_alone_needs_an_agent_and_a_provider() -> None:
    assert refused({"agent": {}})
    assert refused({"agent": {}, "provider": {}})
    for whole in ({"preset": "calm"}, {"preset": ["calm", "house:calm"]}, {"extends": "base.yaml"}):
        assert not refused({**whole, "provider": {"with": {}}})
    assert refused({"agent": {}, "preset": []})
    assert refused({"agent": {}, "extends": None})


def test_what_lies_over_another_file_may_inherit_its_lists() -> None:
    assert takes(tools=["inherit", {"use": "look"}], agent={"handoff": ["inherit"]})
    assert takes(agents={"b": {"tools": ["inherit"]}})
    assert not takes(tools=[{"use": "look", "approve": ["inherit"]}])


def test_an_item_is_one_thing() -> None:
    assert not takes(tools=[{"timeout": "5s"}])
    assert not takes(tools=[{"use": "look", "python": "./x.py:f"}])
    assert not takes(tools=[{"python": "./x.py:f", "with": {}}])
    assert not takes(tools=[{"hosted_mcp": {"label": "a", "url": "b"}, "timeout": "5s"}])


def test_options_are_those_of_what_is_named() -> None:
    assert not takes(tools=[{"use": "box"}])
    assert not takes(tools=[{"use": "house:box", "with": {}}])
    assert not takes(tools=[{"use": "look", "with": {"path": "x"}}])
    assert takes(tools=[{"use": "look", "with": {}}], middleware=[{"use": "boxed", "with": {"path": "x"}}])
    assert not takes(middleware=[{"use": "bare", "with": {"path": "x"}}])


def test_a_name_is_refused_where_nobody_gives_it() -> None:
    assert not takes(tools=[{"use": "lok"}])
    assert not takes(tools=[{"use": "annex:look"}])
    assert not takes(provider={"use": "opnai"})
    assert not takes(preset="clam")
    assert not takes(plugins=["hose"])
    assert takes(tools=[{"use": "${TOOL}"}], preset="${PRESET}", plugins=["house"])


@pytest.mark.parametrize("more", [{"when": False}, {"when": "${ON:-false}"}, {"optional": True}])
def test_a_name_may_be_missing_where_the_item_may_be(more: dict[str, Any]) -> None:
    assert takes(tools=[{"use": "elsewhere", **more}])
    assert not takes(tools=[{"use": "elsewhere", **more, "timeout": 5}])


def test_options_of_what_is_switched_off_are_not_looked_at() -> None:
    assert takes(tools=[{"use": "box", "when": False, "with": {"nope": 1}}])
    assert not takes(tools=[{"use": "box", "when": "${ON:-false}", "with": {"nope": 1}}])


def test_a_name_of_two_plugins_is_written_with_one_of_them() -> None:
    both = json.loads(json.dumps(json_schema(Plugins.from_modules({"house": House(), "annex": Annex()}))))
    assert refused(BASE | {"tools": [{"use": "look"}]}, both)
    assert not refused(BASE | {"tools": [{"use": "annex:look"}, {"use": "house:look"}]}, both)


def test_names_of_a_plugin_are_refused_where_the_configuration_does_not_use_it() -> None:
    assert takes(plugins=["house"], tools=[{"use": "look"}], middleware=[{"use": "logger"}])
    assert takes(plugins=["${HOUSE}"], tools=[{"use": "look"}])
    assert takes(plugins=[], tools=[{"use": "look", "when": False}], guardrails=[])
    assert not takes(plugins=[], tools=[{"use": "house:look"}])
    assert not takes(plugins=[], middleware=[{"use": "bare"}])
    assert not takes(plugins=[], agents={"b": {"tools": [{"use": "look", "optional": True}]}})


def test_the_embedded_server_has_the_options_of_what_answers_in_it() -> None:
    def local(**said: Any) -> bool:
        return takes(provider={"use": "local", "with": said})

    assert local(responder="chat", **{"with": {"model": "m"}})
    assert not local(responder="chat")
    assert not local(responder="chat", **{"with": {"model": "m", "nope": 1}})
    assert not local(responder="nobody")
    assert not local(**{"with": {"model": "m"}})


@pytest.mark.parametrize(
    "turn, taken",
    [
        ({"mode": "push_to_talk", "silence_ms": 5}, False),
        ({"mode": "push_to_talk", "silence_ms": None}, True),
        ({"mode": "semantic_vad", "eagerness": "low"}, True),
        ({"mode": "semantic_vad", "threshold": 0.5}, False),
        ({"eagerness": "low"}, False),
        ({"threshold": 0.5}, True),
    ],
)
def test_keys_of_a_turn_go_with_its_mode(turn: dict[str, Any], taken: bool) -> None:
    assert takes(session={"turn": turn}) == taken


def test_g711_has_one_rate() -> None:
    assert takes(session={"input_format": "g711_ulaw@8000"})
    assert not takes(session={"input_format": "g711_ulaw@16000"})


@pytest.mark.parametrize(
    "item, taken",
    [
        ({"effects": "dangerous", "approve": "never"}, False),
        ({"effects": "dangerous", "approve": {"mode": "never"}}, False),
        ({"effects": "dangerous", "approve": {"otherwise": "approve"}}, False),
        ({"effects": "dangerous", "approve": "ask"}, True),
        ({"effects": "writes", "retries": 2}, False),
        ({"effects": "writes", "retries": 2, "idempotent": True}, True),
        ({"effects": "writes", "retries": 0}, True),
        ({"effects": "${E}", "retries": 2}, True),
    ],
)
def test_a_policy_does_not_contradict_itself(item: dict[str, Any], taken: bool) -> None:
    assert takes(tools=[{"python": "./x.py:f", **item}]) == taken


def test_a_policy_does_not_contradict_the_tool_where_that_is_known() -> None:
    assert not takes(tools=[{"use": "pay", "approve": "never"}])
    assert not takes(tools=[{"use": "pay", "retries": 1}])
    assert not takes(tools=[{"use": "pay", "secret": ["euro"]}])
    assert takes(tools=[{"use": "pay", "secret": ["euros"], "effects": "writes", "approve": "never"}])
    assert takes(tools=[{"use": "look", "retries": 3}])


def test_limits_and_recordings_do_not_contradict_themselves() -> None:
    rates = {"input": 1, "output": 2}
    assert takes(limits={"cost_usd": 1, "rates": rates, "goodbye": "Bye.", "on_limit": "say_goodbye"})
    assert not takes(limits={"cost_usd": 1})
    assert not takes(limits={"goodbye": "Bye."})
    assert not takes(limits={"goodbye": "Bye.", "on_limit": "close"})
    assert not takes(limits={"rates": {"input": 1}})


def test_a_hosted_server_is_reached_in_one_way() -> None:
    assert takes(tools=[{"hosted_mcp": {"label": "a", "url": "b"}}])
    assert not takes(tools=[{"hosted_mcp": {"label": "a"}}])
    assert not takes(tools=[{"hosted_mcp": {"label": "a", "url": "b", "connector": "c"}}])


def test_what_needs_a_package_is_refused_without_it_and_says_which() -> None:
    assert not takes(audio={})
    assert not takes(recording={"mode": "events"})
    assert takes(audio=None, recording={"mode": "none"})
    assert "pip install agentkit-realtime-audio" in described("audio")["description"]


def test_a_schema_of_some_plugins_takes_the_names_of_others() -> None:
    open_ = json.loads(json.dumps(json_schema(HOUSE, closed=False)))
    said = {"tools": [{"use": "elsewhere", "with": {"x": 1}}, {"mcp": {}}], "audio": {}, "plugins": ["other"]}
    assert refused(BASE | said, open_) == []
    assert refused(BASE | {"tools": [{"use": "box"}]}, open_)


def test_a_file_is_stale_when_what_is_there_has_changed(tmp_path: Path) -> None:
    path = tmp_path / ".agentkit" / "schema.json"
    assert not is_stale(path, HOUSE)
    write_schema(path, HOUSE)
    assert json.loads(path.read_text()) == json.loads(schema_text(HOUSE))
    assert not is_stale(path, HOUSE)
    assert is_stale(path, Plugins.from_modules({}))
    path.write_bytes(b"\xff")
    assert not is_stale(path, HOUSE)


def test_writing_keeps_the_rights_of_the_file_and_leaves_nothing_where_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "schema.json"
    path.write_text("old")
    path.chmod(0o600)
    write_schema(path, HOUSE)
    assert path.stat().st_mode & 0o777 == 0o600

    def fail(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="full"):
        write_schema(path, HOUSE)
    assert [each.name for each in tmp_path.iterdir()] == ["schema.json"]
