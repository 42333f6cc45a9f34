"""A turn adds up what its responses did."""

from agentkit.events import Response, Usage
from agentkit.protocol.turns import TurnState


def test_a_turn_adds_up_its_responses() -> None:
    turn = TurnState("t")
    turn.count("r1", Response(status="completed", usage=Usage(total_tokens=3, input_tokens=2)), ["a", ""])
    turn.count("r2", Response(usage=Usage(total_tokens=4, output_tokens=1)), ["b"])
    turn.count("r3", Response(status="cancelled"), [])
    assert turn.text == "a\nb"
    assert turn.status == "cancelled"
    assert turn.response_ids == ["r1", "r2", "r3"]
    assert turn.usage == Usage(total_tokens=7, input_tokens=2, output_tokens=1)
    assert turn.usages == [Usage(total_tokens=3, input_tokens=2), Usage(total_tokens=4, output_tokens=1)]
