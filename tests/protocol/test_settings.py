"""Settings: asked, confirmed, compared; the smallest update between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET

from agentkit.errors import AgentkitError, ServerError
from agentkit.events import (
    AudioFormat,
    AudioInput,
    AudioOutput,
    AudioSettings,
    ErrorOccurred,
    FunctionTool,
    ServerSession,
    SessionUpdate,
    Settings,
    SettingsMismatch,
    TranscriptionSessionUpdate,
    TranscriptionSettings,
    TurnDetection,
)

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

UPDATE = "session.update"
TOOLS = (FunctionTool(name="now", description="", parameters={}),)


def voice(name: str, **fields: object) -> Settings:
    return Settings(audio=AudioSettings(output=AudioOutput(voice=name)), **fields)  # type: ignore[arg-type]  # a Settings field each


def ask(drive: Drive, settings: Settings | TranscriptionSettings, event_id: str = "u1") -> str:
    drive.run(drive.core.update(settings, event_id))
    return event_id


def sessions(drive: Drive) -> list[object]:
    return [frame["session"] for frame in drive.frames()]


def test_rb_10_an_update_waits_for_the_session_and_is_sent_once_with_what_was_asked_only(
    new_drive: type[Drive],
) -> None:
    drive = new_drive()
    ask(drive, voice("verse"))
    assert drive.frames() == []
    created = {"type": "realtime", "instructions": "A", "tools": [{"type": "function", "name": "theirs"}]}
    drive.server("session.created", session=created)
    assert sessions(drive) == [{"type": "realtime", "audio": {"output": {"voice": "verse"}}}]
    drive.server("session.updated", session=created | {"audio": {"output": {"voice": "verse"}}})
    assert sessions(drive) == []
    assert [update.error for update in drive.updates] == [None]


def test_a_session_known_only_by_its_update_is_there(new_drive: type[Drive]) -> None:
    drive = new_drive()
    ask(drive, voice("verse"))
    drive.session(updated=True)
    assert drive.types() == [UPDATE]


def test_rb_18_the_first_update_carries_the_tools_and_a_later_one_does_not_touch_them(drive: Drive) -> None:
    ask(drive, Settings(tools=TOOLS))
    drive.server(
        "session.updated",
        session={"type": "realtime", "tools": [{"type": "function", "name": "now", "parameters": {}}]},
    )
    ask(drive, voice("verse", tools=TOOLS), "u2")
    assert sessions(drive) == [
        {"type": "realtime", "tools": [{"type": "function", "name": "now", "description": "", "parameters": {}}]},
        {"type": "realtime", "audio": {"output": {"voice": "verse"}}},
    ]


def test_an_update_that_changes_nothing_is_not_sent(drive: Drive) -> None:
    drive.server("session.updated", session={"type": "realtime", "instructions": "A"})
    ask(drive, Settings(instructions="A"))
    assert drive.frames() == []
    assert [(update.event_id, update.error) for update in drive.updates] == [("u1", None)]


def test_rb_62_and_f56_what_the_server_confirms_differently_is_told(drive: Drive) -> None:
    detection = TurnDetection(type="semantic_vad")
    ask(drive, Settings(audio=AudioSettings(input=AudioInput(turn_detection=detection))))
    drive.session({"type": "server_vad"}, updated=True)
    mismatch = drive.of(SettingsMismatch)[0]
    assert isinstance(mismatch, SettingsMismatch)
    assert mismatch.differences == (("audio.input.turn_detection.type", "semantic_vad", "server_vad"),)
    assert [update.error for update in drive.updates] == [None]


def test_an_update_that_was_never_answered_ends_with_the_next_that_was(drive: Drive) -> None:
    ask(drive, Settings(instructions="A"), "u1")
    ask(drive, voice("verse"), "u2")
    ask(drive, Settings(instructions="C"), "u3")
    drive.server(
        "session.updated", session={"type": "realtime", "instructions": "B", "audio": {"output": {"voice": "verse"}}}
    )
    assert [update.event_id for update in drive.updates] == ["u1", "u2"]
    assert len(drive.of(SettingsMismatch)) == 1
    drive.server("session.updated", session={"type": "realtime", "instructions": "C"})
    assert [update.event_id for update in drive.updates] == ["u1", "u2", "u3"]


def test_what_the_server_leaves_out_stays_as_it_was(drive: Drive) -> None:
    drive.server("session.updated", session={"type": "realtime", "instructions": "A", "expires_at": 5})
    drive.server("session.updated", session={"type": "realtime", "output_modalities": ["text"]})
    session = drive.confirmed
    assert isinstance(session, ServerSession)
    assert (session.instructions, session.expires_at, session.id) == ("A", 5, "sess")


def test_the_other_kind_of_session_is_told_as_a_difference(drive: Drive) -> None:
    drive.core.settings.confirmed = None
    ask(drive, TranscriptionSettings())
    drive.session()
    drive.session(updated=True)
    mismatch = drive.of(SettingsMismatch)[0]
    assert isinstance(mismatch, SettingsMismatch)
    assert mismatch.differences == (("type", "transcription", "realtime"),)
    drive.server("session.updated", session={"type": "transcription"})
    assert type(drive.confirmed).__name__ == "ServerTranscriptionSession"


def test_an_update_of_a_transcription_session_waits_as_well(new_drive: type[Drive]) -> None:
    drive = new_drive()
    drive.send(TranscriptionSessionUpdate(session=TranscriptionSettings()))
    assert drive.frames() == []
    drive.server("transcription_session.created", session={})
    assert drive.types() == [UPDATE]
    assert drive.core.settings.turn_detection is None


def test_rb_30_words_for_no_turn_detection_are_sent_as_null(drive: Drive) -> None:
    for name in ("none", "disabled"):
        detection = TurnDetection(type=name)
        drive.send(SessionUpdate(session=Settings(audio=AudioSettings(input=AudioInput(turn_detection=detection)))))
    assert sessions(drive) == [{"type": "realtime", "audio": {"input": {"turn_detection": None}}}] * 2
    ask(drive, Settings(audio=AudioSettings(input=AudioInput(turn_detection=TurnDetection(type="off")))))
    assert sessions(drive) == []


# The voice


def test_rb_19_after_audio_the_voice_is_withheld_and_the_rest_is_sent(drive: Drive) -> None:
    drive.created("r1")
    drive.audio("i1", 20)
    ask(drive, voice("v2", instructions="i2"))
    assert sessions(drive) == [{"type": "realtime", "instructions": "i2"}]
    assert drive.notices() == ["voice_fixed"]


def test_an_update_of_nothing_but_the_voice_is_over_at_once_after_audio(drive: Drive) -> None:
    drive.created("r1")
    drive.audio("i1", 20)
    ask(drive, voice("v2"))
    assert drive.frames() == []
    assert [update.event_id for update in drive.updates] == ["u1"]


def test_the_same_voice_again_is_left_out_without_a_word(drive: Drive) -> None:
    drive.server("session.updated", session={"type": "realtime", "audio": {"output": {"voice": "v1"}}})
    drive.created("r1")
    drive.audio("i1", 20)
    drive.send(SessionUpdate(session=voice("v1", instructions="i2")))
    assert sessions(drive) == [{"type": "realtime", "instructions": "i2"}]
    assert drive.notices() == []


def test_other_audio_settings_are_kept_when_the_voice_goes(drive: Drive) -> None:
    drive.created("r1")
    drive.audio("i1", 20)
    output = AudioOutput(voice="v2", speed=1.2)
    drive.send(SessionUpdate(session=Settings(audio=AudioSettings(output=output))))
    drive.send(SessionUpdate(session=Settings(audio=AudioSettings(input=AudioInput(format=AudioFormat())))))
    drive.send(SessionUpdate(session=Settings(audio=AudioSettings(output=AudioOutput(speed=1.0)))))
    drive.send(SessionUpdate(session=TranscriptionSettings()))
    assert sessions(drive) == [
        {"type": "realtime", "audio": {"output": {"speed": 1.2}}},
        {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm"}}}},
        {"type": "realtime", "audio": {"output": {"speed": 1.0}}},
        {"type": "transcription"},
    ]


def test_an_update_that_says_nothing_of_the_voice_is_not_about_it(drive: Drive) -> None:
    drive.core.settings.voice_fixed = True
    detection = AudioInput(turn_detection=TurnDetection(type="none"))
    drive.send(SessionUpdate(session=Settings(audio=AudioSettings(input=detection))))
    assert drive.notices() == []


def test_what_the_server_does_not_confirm_is_no_difference(drive: Drive) -> None:
    drive.server("session.updated", session={"type": "realtime", "instructions": "old"})
    ask(drive, Settings(instructions="A"))
    drive.server("session.updated", session={"type": "realtime"})
    assert drive.of(SettingsMismatch) == []
    assert len(drive.updates) == 1


@pytest.mark.parametrize("with_id", [True, False])
def test_rb_19_a_refused_voice_is_reported_and_the_rest_sent_again_without_it(drive: Drive, with_id: bool) -> None:
    ask(drive, voice("v2", instructions="i2"))
    before = drive.confirmed
    drive.error("cannot_update_voice", "u1" if with_id else None)
    assert sessions(drive)[1:] == [{"type": "realtime", "instructions": "i2"}]
    assert drive.confirmed == before
    assert isinstance(drive.updates[0].error, ServerError)
    assert len(drive.of(ErrorOccurred)) == 1


@pytest.mark.parametrize("settings", [voice("v2"), Settings(instructions="i2"), TranscriptionSettings()])
def test_a_refused_voice_is_survived_whatever_was_asked(
    drive: Drive, settings: Settings | TranscriptionSettings
) -> None:
    drive.send(SessionUpdate(event_id="u1", session=settings))
    drive.error("cannot_update_voice", "u1")
    assert drive.types() == [UPDATE]
    assert len(drive.updates) == 1


# Refusals


def test_a_refused_update_changes_nothing_that_we_believe(drive: Drive) -> None:
    before = drive.confirmed
    ask(drive, Settings(instructions="A"))
    drive.error("invalid_value", "u1", param="session.instructions")
    assert drive.confirmed == before
    error = drive.updates[0].error
    assert isinstance(error, ServerError)
    assert error.param == "session.instructions"


def test_a_refusal_without_an_id_means_the_oldest_update_where_it_names_a_field_of_it(drive: Drive) -> None:
    ask(drive, Settings(instructions="A"))
    drive.error("invalid_value", param="response.x")
    assert drive.updates == []
    drive.error("unknown_parameter", param="session.voice")
    assert [update.event_id for update in drive.updates] == ["u1"]


def test_an_update_that_a_layer_dropped_is_over(drive: Drive) -> None:
    error = AgentkitError("dropped")
    drive.run(drive.core.dropped(SessionUpdate(event_id="u1", session=Settings()), error))
    assert [(update.event_id, update.error) for update in drive.updates] == [("u1", error)]
    assert drive.core.dropped(SessionUpdate(session=Settings()), error) == []


def test_a_session_of_which_nothing_is_said_has_no_turn_detection(new_drive: type[Drive]) -> None:
    drive = new_drive()
    assert drive.core.settings.turn_detection is None
    drive.server("session.created", session={"type": "realtime"})
    assert drive.core.settings.turn_detection is None
    drive.server("session.updated", session={"type": "realtime", "audio": {"output": {}}})
    assert drive.core.settings.turn_detection is None
    assert isinstance(drive.confirmed, ServerSession)
    assert drive.confirmed.instructions is UNSET


def test_a_session_is_there_once_the_server_says_so(drive: Drive, new_drive: type[Drive]) -> None:
    assert (new_drive().core.settings.created, drive.core.settings.created) == (False, True)


def test_formats_follow_the_settings(drive: Drive) -> None:
    drive.session(None, updated=True, format={"type": "audio/pcmu"})
    drive.server("session.updated", session={"type": "realtime", "audio": {"input": {}}})
    assert drive.core.input.format.rate == drive.core.output.format.rate == 8000


# Tools


def test_the_session_s_functions_are_those_that_were_confirmed(new_drive: type[Drive]) -> None:
    drive = new_drive()
    assert drive.core.settings.tool_names() == set()
    tools = [{"type": "function", "name": "now"}, {"type": "mcp", "server_label": "docs"}]
    drive.server("session.created", session={"type": "realtime", "tools": tools})
    assert drive.core.settings.tool_names() == {"now"}
    drive.server("session.updated", session={"type": "realtime", "tools": None})
    assert drive.core.settings.tool_names() == set()


@pytest.mark.parametrize(
    "param, hint",
    [("session.tools[0].name", "the tool is 'now'"), ("tools[0]", "the tool is 'now'"), ("session.tools[9]", None)],
)
def test_a_refused_tool_is_named(drive: Drive, param: str, hint: str | None) -> None:
    ask(drive, Settings(tools=TOOLS))
    drive.error("invalid_value", "u1", param=param)
    (ended,) = drive.updates
    assert isinstance(ended.error, ServerError)
    assert ended.error.hint == hint
