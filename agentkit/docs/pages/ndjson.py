"""``ndjson.md`` and ``ndjson.schema.json``: what ``--json`` prints a line of, from the records themselves."""

from collections.abc import Iterable
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from agentkit.cli.records import AnyRecord, Record
from agentkit.docs.pages.writing import attribute_docs, fenced, inline, page, summary, table, type_in_words

TITLE: Final = "A line of agentkit's NDJSON"
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def records() -> tuple[type[Record], ...]:
    """Return the class of each record, in the order of the page."""
    return get_args(AnyRecord)


def tag_of(record: type[Record]) -> str:
    """Return what a record's ``type`` says."""
    tag = record.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def ndjson_page() -> str:
    """Return the page."""
    rows = [(f"[`{tag_of(each)}`](#{tag_of(each)})", summary(each)) for each in records()]
    parts = [
        inline(
            """
            `agentkit run --json` prints one JSON object a line; the terminal shows the same records. `type` says
            which record it is and `v` is the version of its shape. Fields and types may be added; what is here
            keeps its meaning, so a reader passes over what it does not know. A field that does not apply is `null`.
            """
        ),
        inline(
            """
            [ndjson.schema.json](ndjson.schema.json) is the JSON Schema of a line;
            `agentkit/docs/reference/ndjson.schema.json` comes with the package.
            """
        ),
        fenced(
            'agentkit run --json -p "what time is it?" | jq -r \'select(.type == "turn").latency_ms\'',
            "sh",
        ),
        table(("`type`", "when"), rows),
    ]
    for each in records():
        parts += [f"## {tag_of(each)}", inline(each.__doc__ or ""), _fields(each)]
    return page("NDJSON", *parts)


def _fields(record: type[Record]) -> str:
    docs = attribute_docs(record)
    fields = [each for each in msgspec.structs.fields(record) if each.name != "v"]
    rows = [(f"`{each.encode_name}`", type_in_words(each.type), docs.get(each.name, "")) for each in fields]
    return table(("field", "type", "meaning"), rows)


def ndjson_schema() -> str:
    """Return the JSON Schema of a line, as a document that ends in a newline."""
    (_, definitions) = msgspec.json.schema_components(records())
    classes = {each.__name__: each for each in _structs(records())}
    for name, schema in definitions.items():
        _describe(schema, classes[name])
    document = {
        "$schema": _DRAFT,
        "title": TITLE,
        "oneOf": [{"$ref": f"#/$defs/{each.__name__}"} for each in records()],
        "$defs": definitions,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _describe(schema: dict[str, Any], cls: type[Struct]) -> None:
    """Put the strings below a class's fields into its schema; every field is always written."""
    docs = attribute_docs(cls)
    for field in msgspec.structs.fields(cls):
        if text := docs.get(field.name):
            schema["properties"][field.encode_name]["description"] = text.replace("`", "")
    schema["required"] = list(schema["properties"])


def _structs(classes: Iterable[type[Struct]]) -> set[type[Struct]]:
    """Return these classes, and those that their fields are made of."""
    found: set[type[Struct]] = set()
    waiting = list(classes)
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += [inner for field in msgspec.structs.fields(each) for inner in _inside(field.type)]
    return found


def _inside(expected: object) -> Iterable[type[Struct]]:
    if isinstance(expected, type) and issubclass(expected, Struct):
        yield expected
    for argument in get_args(expected):
        yield from _inside(argument)
