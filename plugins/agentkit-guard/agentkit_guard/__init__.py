"""Guards for agentkit: what is said, asked and done is looked at before it passes.

Each guard is a file: ``redact``, ``topic``, ``gate``, ``hold``, ``tool_policy``, ``budget``, ``check``; they share
``rules``, which finds things in texts that come in pieces, and ``judging``, which asks functions and models.
"""

from collections.abc import Iterable

from agentkit import Factory, Middleware, hookimpl
from agentkit_guard.budget import Amounts, Budget, BudgetConfig
from agentkit_guard.check import Check, CheckConfig
from agentkit_guard.gate import Gate, GateConfig
from agentkit_guard.hold import Hold, HoldConfig
from agentkit_guard.judging import ModelConfig, Verdict
from agentkit_guard.redact import Redact, RedactConfig
from agentkit_guard.tool_policy import Rule, ToolPolicy, ToolPolicyConfig
from agentkit_guard.topic import Topic, TopicConfig

__all__ = [
    "Amounts",
    "Budget",
    "BudgetConfig",
    "Check",
    "CheckConfig",
    "Gate",
    "GateConfig",
    "Hold",
    "HoldConfig",
    "ModelConfig",
    "Redact",
    "RedactConfig",
    "Rule",
    "ToolPolicy",
    "ToolPolicyConfig",
    "Topic",
    "TopicConfig",
    "Verdict",
    "register_middleware",
]


@hookimpl
def register_middleware() -> Iterable[Factory[Middleware]]:
    """Return the guards of this plugin."""
    return [
        Factory("redact", Redact, RedactConfig, description="Mask cards, addresses, keys and patterns."),
        Factory("topic", Topic, TopicConfig, description="Keep words and phrases out."),
        Factory("gate", Gate, GateConfig, description="Answer the user only once what was said has passed."),
        Factory("hold", Hold, HoldConfig, description="Hold back what the agent says until it has passed."),
        Factory("tool-policy", ToolPolicy, ToolPolicyConfig, description="Allow tools and arguments by rules."),
        Factory("budget", Budget, BudgetConfig, description="Limit time, turns, tokens, calls and money."),
        Factory("check", Check, CheckConfig, description="Ask a function or a model about each text."),
    ]
