"""YAML text becomes nodes with places, and what cannot be read is said in the user's words."""

from pathlib import Path

import pytest
import yaml

from agentkit.config.diagnostics import Diagnostic, Problems
from agentkit.config.loader import MAX_BYTES, read_file, read_yaml
from agentkit.config.nodes import KeyPath, ListNode, MapNode, Node, ScalarNode, Source, find


def read(text: str) -> Node:
    problems = Problems()
    node = read_yaml(Source("a.yaml", text), problems)
    assert problems.finish() == ()
    assert node is not None
    return node


def scalar(text: str, *path: str | int) -> ScalarNode:
    root = read(text)
    assert isinstance(root, MapNode)
    node = find(root, path)
    assert isinstance(node, ScalarNode)
    return node


def errors(text: str) -> tuple[Diagnostic, ...]:
    problems = Problems()
    read_yaml(Source("a.yaml", text), problems)
    return problems.finish()


def only(text: str) -> Diagnostic:
    (found,) = errors(text)
    return found


@pytest.mark.parametrize(
    "text, path, place",
    [
        ("a:\n  b: one\n", ("a", "b"), (2, 6, 2, 9)),
        ("a: {b: one, c: [two, three]}\n", ("a", "c", 1), (1, 22, 1, 27)),
        ("a:\n  - b: one\n    c: two\n", ("a", 0, "c"), (3, 8, 3, 11)),
        ("a: |\n  text\n  more\nb: 'x'\n", ("b",), (4, 4, 4, 7)),
        ("é: 1\nü: {ö: 🙂, x: y}\n", ("ü", "x"), (2, 14, 2, 15)),
        ("a: 1\r\nb: two\r\n", ("b",), (2, 4, 2, 7)),
        ("\ufeffa: one\n", ("a",), (1, 4, 1, 7)),
    ],
)
def test_a_value_knows_where_it_is_written(text: str, path: KeyPath, place: tuple[int, ...]) -> None:
    found = scalar(text, *path).place
    assert (found.line, found.column, found.end_line, found.end_column) == place


@pytest.mark.parametrize(
    "text, kind",
    [
        ("no", "str"),
        ("on", "str"),
        ("yes", "str"),
        ("12:30:45", "str"),
        ("1_000", "str"),
        ("2024-01-01", "str"),
        ("=", "str"),
        ("inf", "str"),
        ("'1'", "str"),
        ("true", "bool"),
        ("False", "bool"),
        ("010", "int"),
        ("-3", "int"),
        ("0x1F", "int"),
        ("0o17", "int"),
        ("1.10", "float"),
        ("1e3", "float"),
        (".inf", "float"),
        (".nan", "float"),
        ("null", "null"),
        ("~", "null"),
        ("", "null"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, kind: str) -> None:
    assert scalar(f"a: {text}\n", "a").kind == kind


def test_an_alias_repeats_what_its_anchor_holds() -> None:
    assert scalar("a: &x {b: one}\nc: *x\n", "c", "b").text == "one"


def test_a_document_mark_is_accepted() -> None:
    assert scalar("%YAML 1.2\n---\na: 1\n...\n", "a").text == "1"


@pytest.mark.parametrize(
    "text",
    ["a : 1\n", "a:   1\n", "a: 1\r\n", "\ufeffa: 1\n", "a:\n    1\n", "{a: 1}", '"a": 1', "a: 1 # one\n", "a:\t1\n"],
)
def test_ways_to_write_one_thing_are_all_fine(text: str) -> None:
    assert scalar(text, "a").text == "1"


def test_an_empty_list_and_an_empty_map_are_values() -> None:
    root = read("a: []\nb: {}\n")
    assert isinstance(root, MapNode)
    assert isinstance(root.get("a"), ListNode)
    assert isinstance(root.get("b"), MapNode)


@pytest.mark.parametrize(
    "text, code, line, column",
    [
        ("a:\n\tb: 1\n", "AK002", 2, 1),
        ("a: 1\nb: 2\na: 3\n", "AK003", 3, 1),
        ("a: {x: 1, x: 2}\n", "AK003", 1, 11),
        ("a: {city: ${CITY:-Turin}}\n", "AK004", 1, 11),
        ("a: [${B}]\n", "AK004", 1, 5),
        ("k: ${K:?get a key, then: export K=...}\n", "AK004", 1, 24),
        ("a: !!python/object:os.system x\n", "AK005", 1, 4),
        ("a: !!str 5\n", "AK005", 1, 4),
        ("a: !mine {b: 1}\n", "AK005", 1, 4),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "AK006", 3, 3),
        ("a: 1\n---\nb: 2\n", "AK007", 2, 1),
        ("", "AK008", 1, 1),
        ("# only a comment\n", "AK008", 1, 1),
        ("~\n", "AK008", 1, 1),
        ("a: x\x00y\n", "AK009", 1, 5),
        ("a: 1\nb: \ud800\n", "AK009", 2, 4),
        ("a: *x\n", "AK001", 1, 4),
        ("a: @x\n", "AK004", 1, 4),
        ("a:\n  b: 1\n c: 2\n", "AK001", 3, 2),
        ("a: [1, 2\nb: 3\n", "AK001", 1, 4),
        ("a: 'x\nb: 1\n", "AK001", 1, 4),
        ("a: 1\nb\n", "AK001", 2, 1),
        ("a: |x\n", "AK001", 1, 5),
        ("? [a]\n: b\n", "AK102", 1, 3),
        ("a: {{b}}\n", "AK004", 1, 4),
        ("a: &x [*x]\n", "AK010", 1, 8),
    ],
)
def test_what_is_no_configuration_is_cited_by_code_and_place(text: str, code: str, line: int, column: int) -> None:
    found = only(text)
    assert (found.code, found.line, found.column) == (code, line, column)


@pytest.mark.parametrize(
    "text",
    ["a:\n\tb: 1\n", "a: {b: ${C}}\n", "a: b: c\n", "a: @x\n", "a:\n  b: 1\n c: 2\n", "a: [1\nb: 3\n", "a: 'x\n"],
)
def test_the_reader_in_pure_python_says_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = only(text)
    monkeypatch.setattr("agentkit.config.loader._Parser", yaml.SafeLoader)
    assert only(text) == fast


def test_a_duplicate_key_cites_both_places() -> None:
    found = only("a: 1\nb:\n  c: 1\n  c: 2\n")
    assert found.place == "a.yaml:4:3"
    assert found.notes == ("first given at a.yaml:3:3",)


def test_a_merge_key_is_pointed_to_extends_and_inherit() -> None:
    hint = only("a: &x {b: 1}\nc: {<<: *x}\n").hint or ""
    assert "extends" in hint
    assert "inherit" in hint


def test_several_mistakes_of_one_text_are_all_found() -> None:
    assert [each.code for each in errors("a: 1\na: 2\nb: !x 1\nc: {<<: 1}\n")] == ["AK003", "AK005", "AK006"]


def test_nesting_is_capped() -> None:
    assert only("a: " + "[" * 60 + "]" * 60).code == "AK010"


def test_a_hundred_thousand_open_brackets_are_refused_at_once() -> None:
    assert only("[" * 100_000).code == "AK010"


def test_compact_nested_lists_count_as_nesting() -> None:
    assert only("- " * 60 + "x").code == "AK010"


def test_nesting_through_aliases_is_capped() -> None:
    lines = ["a0: &a0 " + "[" * 20 + "]" * 20]
    lines += [f"a{n}: &a{n} " + "[" * 20 + f"*a{n - 1}" + "]" * 20 for n in range(1, 5)]
    assert only("\n".join(lines)).code == "AK010"


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 10)]
    found = only("\n".join(lines))
    assert found.code == "AK010"
    assert "aliases" in found.message


def test_a_large_file_without_aliases_has_no_cap_but_its_size() -> None:
    root = read("\n".join(f"k{n}: [1, 2, 3]" for n in range(20_000)))
    assert isinstance(root, MapNode)
    assert len(root.entries) == 20_000


def test_a_text_above_a_mebibyte_is_refused() -> None:
    assert only("a: " + "x" * MAX_BYTES).code == "AK009"


def test_a_file_above_a_mebibyte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    problems = Problems()
    assert read_file(path, name="a.yaml", at=None, problems=problems) is None
    assert problems.codes == ("AK009",)


def test_a_file_that_is_not_utf_8_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("a: 1\nb: caf\xe9\n".encode("latin-1"))
    problems = Problems()
    assert read_file(path, name="a.yaml", at=None, problems=problems) is None
    (found,) = problems.finish()
    assert (found.code, found.line, found.column) == ("AK009", 2, 7)
    assert "0xe9" in found.notes[0]


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    problems = Problems()
    assert read_file(tmp_path / name, name=name, at=None, problems=problems) is None
    assert problems.codes == ("AK009",)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffa: 1\r\n".encode())
    source = read_file(path, name="a.yaml", at=None, problems=Problems())
    assert source is not None
    assert source.text == "a: 1\r\n"
