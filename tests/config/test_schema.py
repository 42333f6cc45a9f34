"""The shape keeps its own rules."""

import ast
import inspect
from types import ModuleType

from msgspec import Struct

from agentkit.config import schema
from agentkit.config.nodes import Block
from agentkit.config.schema import TURN_KEYS, Config, Turn, decisive_key, left_behind
from agentkit.config.shape import discriminator, fields_of, misplaced_keys


def classes(module: ModuleType) -> list[type[Struct]]:
    return [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Struct) and each.__module__ == module.__name__
    ]


def test_every_field_has_its_sentence() -> None:
    tree = ast.parse(inspect.getsource(schema))
    for cls in [node for node in tree.body if isinstance(node, ast.ClassDef)]:
        for field, after in zip(cls.body, [*cls.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(after, ast.Expr), (cls.name, ast.unparse(field))
                assert isinstance(after.value, ast.Constant)


def test_no_key_is_a_word_that_yaml_1_1_takes_for_a_truth_value() -> None:
    keys = {key.lower() for cls in classes(schema) for key in fields_of(cls)}
    assert not keys & {"on", "off", "yes", "no", "y", "n", "true", "false"}


def test_every_key_of_turn_has_a_mode() -> None:
    assert frozenset().union(*TURN_KEYS.values()) | {"mode"} == set(fields_of(Turn))


def test_the_items_of_a_list_are_told_apart_by_different_keys() -> None:
    assert discriminator(schema.PluginTool) == "use"
    assert discriminator(schema.PythonTool) == "python"


def test_every_key_of_the_shape_has_a_home() -> None:
    homes = misplaced_keys()
    assert homes["silence_ms"] == (("session", "turn"),)
    assert homes["turns"] == (("limits",),)
    assert homes["agent"] == ((),)
    assert set(fields_of(Config)) <= set(homes)


def test_options_of_plugins_are_kept_as_they_are() -> None:
    assert fields_of(schema.Layer)["with"].type is Block


def test_only_blocks_with_a_decisive_key_leave_something_behind() -> None:
    assert decisive_key(("agent",)) is None
    assert left_behind(("provider",), "local") == {"with"}
    assert "interrupt" not in left_behind(("session", "turn"), "semantic_vad")
