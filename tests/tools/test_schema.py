"""References are written in where that is short, and kept where it is not."""

from agentkit.tools.schema import Definitions

OWNERS: list[object] = []


def part(defs: Definitions, name: str, **content: object) -> dict[str, object]:
    OWNERS.append(object())
    reference, place = defs.reserve(OWNERS[-1], name)
    assert place is not None
    place.update(content)
    return reference


def test_a_part_is_written_in_beside_what_is_said_around_it() -> None:
    defs = Definitions()
    reference = part(defs, "A", type="integer", description="inner")
    assert defs.close({**reference, "description": "outer"}) == {"type": "integer", "description": "outer"}


def test_a_part_that_is_a_reference_to_another_is_followed() -> None:
    defs = Definitions()
    alias = part(defs, "Alias", **part(defs, "A", type="integer"))
    assert defs.close({"items": alias}) == {"items": {"type": "integer"}}


def test_an_owner_is_asked_for_once() -> None:
    defs, owner = Definitions(), object()
    first, place = defs.reserve(owner, "A")
    assert place == {}
    assert defs.reserve(owner, "A") == (first, None)


def test_two_owners_of_one_name_are_told_apart() -> None:
    defs, owners = Definitions(), [object(), object(), object()]
    names = [defs.reserve(owner, "A")[0]["$ref"] for owner in owners]
    assert names == ["#/$defs/A", "#/$defs/A2", "#/$defs/A3"]


def test_a_large_part_that_is_used_twice_is_kept_apart() -> None:
    defs = Definitions()
    leaf = part(defs, "Leaf", type="integer")
    large = part(defs, "Large", properties={"a": leaf, "b": leaf})
    closed = defs.close({"anyOf": [large, large]})
    assert closed == {
        "anyOf": [{"$ref": "#/$defs/Large"}, {"$ref": "#/$defs/Large"}],
        "$defs": {"Large": {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}},
    }


def test_parts_that_contain_each_other_are_kept_apart() -> None:
    defs, owners = Definitions(), [object(), object()]
    (a, a_place), (b, b_place) = (defs.reserve(owner, name) for owner, name in zip(owners, "AB", strict=True))
    assert a_place is not None
    assert b_place is not None
    a_place.update(items=b, prefixItems=[b])
    b_place.update(items=a)
    assert defs.close(a) == {
        "$ref": "#/$defs/A",
        "$defs": {"A": {"items": b, "prefixItems": [b]}, "B": {"items": a}},
    }


def test_a_part_reached_by_two_ways_does_not_contain_itself() -> None:
    defs = Definitions()
    leaf = part(defs, "Leaf", type="integer")
    left, right = part(defs, "Left", items=leaf), part(defs, "Right", items=leaf)
    assert defs.close(part(defs, "Top", prefixItems=[left, right])) == {
        "prefixItems": [{"items": {"type": "integer"}}, {"items": {"type": "integer"}}]
    }


def test_data_and_names_that_look_like_references_are_left_alone() -> None:
    defs = Definitions()
    schema = {
        "properties": {"$ref": {"type": "string"}, "default": {"type": "string"}},
        "default": {"$ref": "#/$defs/None"},
        "enum": [{"$ref": "#/$defs/None"}],
    }
    assert defs.close(schema) == schema


def test_a_finished_schema_is_adopted_with_its_names_changed_where_they_are_taken() -> None:
    defs = Definitions()
    mine = part(defs, "A", type="integer")
    adopted = defs.adopt(
        {
            "anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#"}, 5],
            "discriminator": {"propertyName": "kind", "mapping": {"a": "#/$defs/A"}},
            "properties": {"discriminator": {"type": "string"}},
            "$defs": {"A": {"type": "string"}},
        }
    )
    assert adopted == {
        "anyOf": [{"$ref": "#/$defs/A2"}, {"$ref": "#"}, 5],
        "properties": {"discriminator": {"type": "string"}},
    }
    closed = defs.close({"items": mine, "prefixItems": [{"$ref": "#/$defs/A2"}]})
    assert closed == {"items": {"type": "integer"}, "prefixItems": [{"type": "string"}]}
