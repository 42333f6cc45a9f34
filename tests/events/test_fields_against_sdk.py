"""Field by field: our items, parts and settings have the `openai` package's fields, and of their own what is listed."""

import msgspec
import pytest
from openai.types.beta.realtime import realtime_response as beta_response
from openai.types.beta.realtime import response_create_event as beta_create
from openai.types.beta.realtime import session as beta_session
from openai.types.beta.realtime.conversation_item_content import ConversationItemContent as BetaContent
from openai.types.realtime import (
    audio_transcription,
    conversation_created_event,
    conversation_item_input_audio_transcription_failed_event,
    rate_limits_updated_event,
    realtime_audio_config,
    realtime_audio_config_input,
    realtime_audio_config_output,
    realtime_audio_formats,
    realtime_audio_input_turn_detection,
    realtime_conversation_item_assistant_message,
    realtime_conversation_item_function_call,
    realtime_conversation_item_function_call_output,
    realtime_conversation_item_system_message,
    realtime_conversation_item_user_message,
    realtime_error,
    realtime_function_tool,
    realtime_mcp_approval_request,
    realtime_mcp_approval_response,
    realtime_mcp_list_tools,
    realtime_mcp_tool_call,
    realtime_response,
    realtime_response_create_params,
    realtime_response_status,
    realtime_response_usage,
    realtime_response_usage_input_token_details,
    realtime_session_create_request,
    realtime_session_create_response,
    realtime_tools_config_union,
    realtime_transcription_session_create_request,
    realtime_transcription_session_create_response,
    response_item_reference,
)
from openai.types.responses import tool_choice_function, tool_choice_mcp
from pydantic import BaseModel

from agentkit import events

MESSAGES = (
    realtime_conversation_item_user_message.RealtimeConversationItemUserMessage,
    realtime_conversation_item_assistant_message.RealtimeConversationItemAssistantMessage,
    realtime_conversation_item_system_message.RealtimeConversationItemSystemMessage,
)
CONTENTS = (
    realtime_conversation_item_user_message.Content,
    realtime_conversation_item_assistant_message.Content,
    BetaContent,
)
SETTINGS = realtime_session_create_request.RealtimeSessionCreateRequest
SESSION = realtime_session_create_response.RealtimeSessionCreateResponse
TRANSCRIPTION = realtime_transcription_session_create_request.RealtimeTranscriptionSessionCreateRequest
TRANSCRIPTION_SESSION = realtime_transcription_session_create_response.RealtimeTranscriptionSessionCreateResponse

PAIRS: dict[type[msgspec.Struct], tuple[type[BaseModel], ...]] = {
    events.AudioFormat: (realtime_audio_formats.AudioPCM,),
    events.AudioInput: (realtime_audio_config_input.RealtimeAudioConfigInput,),
    events.AudioOutput: (realtime_audio_config_output.RealtimeAudioConfigOutput,),
    events.AudioSettings: (realtime_audio_config.RealtimeAudioConfig,),
    events.ConversationInfo: (conversation_created_event.Conversation,),
    events.CustomVoice: (realtime_audio_config_output.VoiceID,),
    events.ErrorDetails: (realtime_error.RealtimeError,),
    events.FunctionCallItem: (realtime_conversation_item_function_call.RealtimeConversationItemFunctionCall,),
    events.FunctionCallOutputItem: (
        realtime_conversation_item_function_call_output.RealtimeConversationItemFunctionCallOutput,
    ),
    events.FunctionTool: (realtime_function_tool.RealtimeFunctionTool,),
    events.ItemReference: (response_item_reference.ResponseItemReference,),
    events.McpApprovalRequestItem: (realtime_mcp_approval_request.RealtimeMcpApprovalRequest,),
    events.McpApprovalResponseItem: (realtime_mcp_approval_response.RealtimeMcpApprovalResponse,),
    events.McpCallItem: (realtime_mcp_tool_call.RealtimeMcpToolCall,),
    events.McpListToolsItem: (realtime_mcp_list_tools.RealtimeMcpListTools,),
    events.McpTool: (realtime_mcp_list_tools.Tool,),
    events.MessageItem: MESSAGES,
    events.NoiseReduction: (realtime_audio_config_input.NoiseReduction,),
    events.RateLimit: (rate_limits_updated_event.RateLimit,),
    events.Response: (realtime_response.RealtimeResponse,),
    events.ResponseSettings: (realtime_response_create_params.RealtimeResponseCreateParams,),
    events.ServerMcpTool: (realtime_tools_config_union.Mcp,),
    events.ServerSession: (SETTINGS, SESSION),
    events.ServerTranscriptionSession: (TRANSCRIPTION, TRANSCRIPTION_SESSION),
    events.Settings: (SETTINGS,),
    events.StatusDetails: (realtime_response_status.RealtimeResponseStatus,),
    events.StatusError: (realtime_response_status.Error,),
    events.ToolChoice: (tool_choice_function.ToolChoiceFunction, tool_choice_mcp.ToolChoiceMcp),
    events.Transcription: (audio_transcription.AudioTranscription,),
    events.TranscriptionError: (conversation_item_input_audio_transcription_failed_event.Error,),
    events.TranscriptionSettings: (TRANSCRIPTION,),
    events.TurnDetection: (
        realtime_audio_input_turn_detection.ServerVad,
        realtime_audio_input_turn_detection.SemanticVad,
    ),
    events.Usage: (realtime_response_usage.RealtimeResponseUsage,),
    events.UsageDetails: (realtime_response_usage_input_token_details.RealtimeResponseUsageInputTokenDetails,),
}
OURS: dict[type[msgspec.Struct], set[str]] = {
    # every item may have them: beta's do, and servers send them
    events.McpApprovalRequestItem: {"object", "status"},
    events.McpApprovalResponseItem: {"object", "status"},
    events.McpCallItem: {"object", "status"},
    events.McpListToolsItem: {"object", "status"},
    events.ItemReference: {"object", "status"},
    # beta's, which other GA-like servers kept
    events.Response: {"temperature"},
    events.ResponseSettings: {"temperature"},
    events.ServerSession: {"temperature"},
    events.Settings: {"temperature"},
}
"""What we have and the SDK's GA classes have not."""


@pytest.mark.parametrize("ours", PAIRS, ids=lambda cls: cls.__name__)
def test_the_fields_are_the_sdk_s_and_those_that_are_listed(ours: type[msgspec.Struct]) -> None:
    theirs = {name for model in PAIRS[ours] for name in model.model_fields}
    tagged = {"type"} if ours.__struct_config__.tag else set()
    assert set(ours.__struct_fields__) | tagged == theirs | OURS.get(ours, set())


@pytest.mark.parametrize("part", events.PARTS.values(), ids=lambda cls: cls.__name__)
def test_a_part_has_no_field_that_the_sdk_does_not_have(part: type[msgspec.Struct]) -> None:
    assert set(part.__struct_fields__) <= {name for model in CONTENTS for name in model.model_fields}


def test_every_item_and_settings_class_is_compared() -> None:
    structs = {
        cls
        for cls in vars(events).values()
        if isinstance(cls, type) and issubclass(cls, msgspec.Struct) and not issubclass(cls, events.Event)
    }
    families = {events.ContentPart, events.Item, events.SettingsBase}
    assert structs - set(PAIRS) - set(events.PARTS.values()) - families == set()


BETA_NAMES = {
    "modalities": "output_modalities",
    "max_response_output_tokens": "max_output_tokens",
    **dict.fromkeys(
        ("input_audio_format", "input_audio_noise_reduction", "input_audio_transcription", "turn_detection"), "audio"
    ),
    **dict.fromkeys(("output_audio_format", "voice", "speed"), "audio"),
}


@pytest.mark.parametrize(
    "ours,theirs",
    [
        (events.ServerSession, beta_session.Session),
        (events.ResponseSettings, beta_create.Response),
        (events.Response, beta_response.RealtimeResponse),
    ],
)
def test_beta_s_fields_have_their_places(ours: type[msgspec.Struct], theirs: type[BaseModel]) -> None:
    assert {BETA_NAMES.get(name, name) for name in theirs.model_fields} <= set(ours.__struct_fields__)
