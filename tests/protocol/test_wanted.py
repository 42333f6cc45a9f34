"""What the arbiter keeps of one response."""

import pytest

from agentkit.errors import AgentkitError, LocalProtocolError
from agentkit.events import ResponseCreate, ResponseSettings
from agentkit.protocol.effects import TurnEnded
from agentkit.protocol.turns import TurnState
from agentkit.protocol.wanted import (
    KEY_CHARS,
    PAIRS,
    VALUE_CHARS,
    ActiveResponse,
    Wanted,
    cancelled,
    check_metadata,
    is_beside,
    let_go,
)


@pytest.mark.parametrize(
    "settings, beside",
    [
        (None, False),
        (ResponseSettings(), False),
        (ResponseSettings(conversation=None), False),
        (ResponseSettings(conversation="auto"), False),
        (ResponseSettings(conversation="none"), True),
    ],
)
def test_only_another_conversation_is_beside(settings: ResponseSettings | None, beside: bool) -> None:
    assert is_beside(settings) is beside


@pytest.mark.parametrize(
    "settings",
    [
        None,
        ResponseSettings(),
        ResponseSettings(metadata=None),
        ResponseSettings(metadata={str(number): "x" for number in range(PAIRS)}),
        ResponseSettings(metadata={str(number): "x" for number in range(PAIRS - 1)}, conversation="none"),
        ResponseSettings(metadata={"k" * KEY_CHARS: "v" * VALUE_CHARS}),
    ],
)
def test_metadata_within_the_limits_is_sent(settings: ResponseSettings | None) -> None:
    check_metadata(settings)


@pytest.mark.parametrize(
    "settings, reason",
    [
        (
            ResponseSettings(metadata={str(number): "x" for number in range(PAIRS + 1)}),
            "17 pairs; a response may have 16",
        ),
        (
            ResponseSettings(metadata={str(number): "x" for number in range(PAIRS)}, conversation="none"),
            "16 pairs; a response may have 15",
        ),
        (ResponseSettings(metadata={"k" * (KEY_CHARS + 1): "v"}), "is too long: at most 64 characters"),
        (ResponseSettings(metadata={"k": "v" * (VALUE_CHARS + 1)}), "'k' is too long"),
    ],
)
def test_metadata_beyond_the_limits_is_refused(settings: ResponseSettings, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        check_metadata(settings)


def test_a_plain_create_overrides_nothing() -> None:
    assert Wanted(None, []).plain
    assert Wanted(ResponseCreate(event_id="e"), []).plain
    assert not Wanted(ResponseCreate(response=ResponseSettings()), []).plain


def test_what_the_user_wants_as_well_is_not_automatic_any_more() -> None:
    mine, theirs = TurnState("a"), TurnState("b")
    wanted = Wanted(None, [mine], automatic=True)
    wanted.join(Wanted(ResponseCreate(event_id="b"), [theirs]))
    assert wanted.turns == [mine, theirs]
    assert not wanted.automatic


def test_a_response_that_serves_another_turn_begins_anew_for_it() -> None:
    response = ActiveResponse("r1", [], None)
    response.output_begun = True
    response.serve([TurnState("a")])
    assert response.output_begun is False


def test_a_response_is_stopping_by_our_cancel_or_by_the_users_speech() -> None:
    response = ActiveResponse("r1", [], None)
    assert not response.stopping
    response.interrupted = True
    assert response.stopping


def test_turns_end_well_failed_or_cancelled() -> None:
    well, failed, cut = TurnState("a"), TurnState("b"), TurnState("c")
    error = AgentkitError("no")
    assert let_go([well]) == [TurnEnded(well)]
    assert let_go([failed], error) == [TurnEnded(failed)]
    assert cancelled([cut]) == [TurnEnded(cut)]
    assert [(turn.status, turn.error) for turn in (well, failed, cut)] == [
        ("completed", None),
        ("failed", error),
        ("cancelled", None),
    ]
