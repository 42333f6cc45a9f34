"""The package's face: every public name, once."""

import msgspec
import pytest

from agentkit import events
from agentkit.events import base, client, codec, dialects, items, response, server, session
from agentkit.events import settings as settings_module

MODULES = (base, client, codec, dialects, items, response, server, session, settings_module)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_class_is_exported(module: object) -> None:
    defined = {
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == getattr(module, "__name__", "") and not name.startswith("_")
    }
    assert defined <= set(events.__all__)


def test_everything_that_is_exported_is_there() -> None:
    assert len(set(events.__all__)) == len(events.__all__)
    assert [name for name in events.__all__ if not hasattr(events, name)] == []


def test_every_struct_is_frozen() -> None:
    structs = [
        value for value in vars(events).values() if isinstance(value, type) and issubclass(value, msgspec.Struct)
    ]
    assert [cls.__name__ for cls in structs if not cls.__struct_config__.frozen] == []


def test_a_server_s_class_and_its_beta_subclass_are_one_family() -> None:
    families = {
        cls.__name__: base.__name__
        for cls in events.SERVER_EVENTS.values()
        if (base := cls.__bases__[0]).__name__ in {other.__name__ for other in events.SERVER_EVENTS.values()}
    }
    assert families == {
        "ConversationItemCreated": "ConversationItemAdded",
        "ResponseAudioDelta": "ResponseOutputAudioDelta",
        "ResponseAudioDone": "ResponseOutputAudioDone",
        "ResponseAudioTranscriptDelta": "ResponseOutputAudioTranscriptDelta",
        "ResponseAudioTranscriptDone": "ResponseOutputAudioTranscriptDone",
        "ResponseTextDelta": "ResponseOutputTextDelta",
        "ResponseTextDone": "ResponseOutputTextDone",
        "TranscriptionSessionCreated": "SessionCreated",
        "TranscriptionSessionUpdated": "SessionUpdated",
    }
