"""The agent that ``run`` talks to, and the kept conversation that it goes on with."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentkit.cli.exits import Problem, say
from agentkit.cli.flags import Flags
from agentkit.cli.source import find_config, load_agent

if TYPE_CHECKING:
    from agentkit.cli.keeping import Keeper
    from agentkit.cli.store import Kept, Store
    from agentkit.config.build import Agent


def keeper_of(
    flags: Flags,
    config: str | None,
    *,
    overrides: Sequence[str],
    preset: str | None,
    demo: bool,
    trust: bool,
    last: bool,
    resume: str | None,
    keep: bool,
) -> "tuple[Agent, Keeper | None]":
    """Load the agent, and find the conversation that is gone on with.

    Args:
        flags: The global flags.
        config: The file; None for that of the conversation, or ``agent.yaml``.
        overrides: ``key.path=value`` each, on top of the file.
        preset: A preset to take in place of the file's own.
        demo: Use the embedded server, whatever the file says.
        trust: Let a configuration from stdin name code.
        last: Go on with the last conversation with the agent.
        resume: The id of the conversation to go on with.
        keep: Keep the conversation.

    Returns:
        The agent, and what keeps its conversation or gives it the one before; None for neither.

    Raises:
        Problem: There is no such conversation, or no configuration.
        ConfigErrors: The configuration cannot be used.
    """
    from agentkit.cli.keeping import Keeper
    from agentkit.cli.store import config_name

    store = _store(flags, needed=last or resume is not None) if keep or last or resume is not None else None
    kept: Kept | None = None
    if resume is not None and store is not None:
        kept = store.find(resume)
        if config is None and kept.meta.config is not None and Path(kept.meta.config).is_file():
            config = _shorter(kept.meta.config)
    source = find_config(config, demo=demo)
    agent = load_agent(flags, source, overrides=overrides, preset=preset, demo=demo, trust=trust)
    if store is None:
        return agent, None
    if last:
        kept = store.last_of(config_name(source), agent.name)
        if kept is None:
            hint = "agentkit sessions list shows those with other agents: --resume ID"
            raise Problem(f"no conversation with {agent.name} of {source} is kept", hint=hint)
    if kept is not None:
        kept.snapshot()  # what cannot be read is said before anything is opened
    return agent, Keeper(agent, source, store, kept, keep=keep)


def _store(flags: Flags, *, needed: bool) -> "Store | None":
    """Return the store; None, with a warning, where there is no place for it and none is needed."""
    from agentkit.cli.store import Store

    try:
        return Store.of_user()
    except Problem as exc:
        if needed:
            raise
        if flags.verbosity >= 0:
            say(sys.stderr, flags.look(), str(exc), hint=f"{exc.hint}; --no-keep keeps none", level="warning")
        return None


def _shorter(path: str) -> str:
    """Return a path from the working directory where it is below that."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
