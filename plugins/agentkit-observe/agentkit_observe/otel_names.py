"""Names of OpenTelemetry's semantic conventions for generative AI, and of what they have no name for.

Rule: the names are written here, not imported: the conventions' package moves them about from release to release.
"""

from typing import Final

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
SYSTEM: Final = "gen_ai.system"
"""The older name of ``gen_ai.provider.name``, which many backends still look for."""
CONVERSATION: Final = "gen_ai.conversation.id"
MODEL: Final = "gen_ai.request.model"
RESPONSE: Final = "gen_ai.response.id"
FINISH: Final = "gen_ai.response.finish_reasons"
OUTPUT_TYPE: Final = "gen_ai.output.type"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"
INPUT: Final = "gen_ai.input.messages"
OUTPUT: Final = "gen_ai.output.messages"
TOOL: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL: Final = "gen_ai.tool.call.id"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
ERROR: Final = "error.type"
STATUS: Final = "agentkit.status"
"""How a response, a tool's call or a session ended, in agentkit's words."""

CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"
INVOKE_AGENT: Final = "invoke_agent"

OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
TIME_TO_FIRST_AUDIO: Final = "agentkit.response.time_to_first_audio"
SPEECH_TO_AUDIO: Final = "agentkit.turn.speech_to_first_audio"
TOOL_DURATION: Final = "agentkit.tool.duration"
TOOLS_RUNNING: Final = "agentkit.tools.running"
SESSIONS: Final = "agentkit.sessions.open"
RECONNECTS: Final = "agentkit.session.reconnects"
QUEUE_DEPTH: Final = "agentkit.session.queue.depth"
DROPPED_INPUT: Final = "agentkit.audio.input.dropped"

SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
"""The bounds of buckets that the conventions give."""
