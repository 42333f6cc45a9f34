"""``agentkit sessions``: the conversations that ``agentkit run`` has kept."""

import errno
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from agentkit.cli.exits import Exit, Problem, say
from agentkit.cli.flags import Command, Flags, flags_of, with_global_options
from agentkit.cli.output import Out
from agentkit.cli.store import DAY, Kept, Meta, Store
from agentkit.cli.terminal import Look, cells, clean, is_tty, one_line
from agentkit.cli.transcript import clock, dollars
from agentkit.files import replace_file

_FORMS: Final = {"md": "markdown", "txt": "text", "json": "json", "vtt": "vtt"}
"""The form of an export by what ``--format`` says."""
_HOW: Final = "agentkit run keeps each conversation that has had a turn; --no-keep keeps none"
_COLUMNS: Final = 3
"""Numbers in a list that stand right-aligned: turns, duration, cost."""


class _Exported(msgspec.Struct):
    """What the JSON form of an export has."""

    entries: list[msgspec.Raw]


class Group(click.Group):
    """A command of commands, with the global flags."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params = with_global_options(self.params)


@click.group("sessions", cls=Group, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> int | None:
    """List, show and export kept conversations.

    They are kept as text, without audio and with secrets masked, in a folder that only you can read. The newest 200
    stay, and none longer than 30 days after it was last gone on with. An ID may be cut short, and `last` is the newest.
    """
    if context.invoked_subcommand is None:
        code: int = context.invoke(list_command, as_json=False)
        return code
    return None


@command.command("list", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def list_command(context: click.Context, as_json: bool) -> int:
    """List kept conversations, the newest first."""
    kept = Store.of_user().all()
    out = Out()
    if as_json:
        out.json({"v": 1, "sessions": [each.meta for each in kept]})
        return Exit.DONE
    if not kept:
        if flags_of(context).verbosity >= 0:
            say(sys.stderr, flags_of(context).look(), "no conversation is kept", hint=_HOW, level="info")
        return Exit.DONE
    rows = [("ID", "WHEN", "AGENT", "TURNS", "TIME", "COST", "BEGINS"), *(_row(each.meta) for each in kept)]
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    look = Look(out.stream, color=flags_of(context).color)
    for index, row in enumerate(rows):
        first = len(widths) - _COLUMNS
        columns = []
        for column, (text, width) in enumerate(zip(row, widths, strict=False)):
            room = " " * (width - cells(text))
            columns.append(text + room if column < first else room + text)
        line = look.cut("  ".join([*columns, row[-1]]).rstrip())
        out.line(look.paint(line, "dim") if index == 0 else line)
    return Exit.DONE


@command.command("show", cls=Command)
@click.argument("session_id", metavar="ID", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def show(context: click.Context, session_id: str | None, as_json: bool) -> int:
    """Show a conversation.

    ID is that of `sessions list`; where none is named it is the last one.
    """
    kept = Store.of_user().find(session_id or "last")
    out = Out()
    if as_json:
        entries = msgspec.json.decode(_export(kept, "json"), type=_Exported).entries
        exported = [msgspec.Raw(msgspec.json.format(entry, indent=-1)) for entry in entries]
        out.json({"v": 1, "session": kept.meta, "entries": exported})
        return Exit.DONE
    meta = kept.meta
    look = Look(out.stream, color=flags_of(context).color)
    when, turns = time.strftime("%Y-%m-%d %H:%M", time.localtime(meta.started)), _counted(meta.turns, "turn")
    parts = [meta.id, meta.agent, meta.config or "stdin", meta.model or meta.provider, when, turns, clock(meta.seconds)]
    parts += [dollars(meta.cost_usd)] if meta.cost_usd is not None else []
    out.line(look.paint(f" {look.glyph('dot')} ".join(map(one_line, parts)), "dim"))
    out.line()
    out.write(clean(_ended(_export(kept, "text"))))
    if is_tty(out.stream):
        out.line()
        out.line(look.paint(f"go on with it: agentkit run --resume {meta.id}", "dim"))
    return Exit.DONE


@command.command("export", cls=Command)
@click.argument("session_id", metavar="ID", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice([*_FORMS, "jsonl", "wav"]),
    default="md",
    show_default=True,
    help="What is written; jsonl is an item a line.",
)
@click.option("--out", "target", metavar="F", help="Write into this file, and not to stdout.")
@click.pass_context
def export(context: click.Context, session_id: str | None, form: str, target: str | None) -> int:
    """Write a conversation down.

    ID is that of `sessions list`; where none is named it is the last one.
    """
    if form == "wav":
        hint = "agentkit run --record keeps audio, and --output F.wav the agent's voice"
        raise Problem("kept conversations are text: audio is only in recordings", hint=hint)
    kept = Store.of_user().find(session_id or "last")
    text = _lines(kept) if form == "jsonl" else _ended(_export(kept, _FORMS[form]))
    if target is None:
        Out().write(text)
        return Exit.DONE
    try:
        _put(target, text.encode())
    except OSError as exc:
        raise Problem(f"{target} cannot be written: {exc.strerror or exc}") from exc
    return Exit.DONE


@command.command("prune", cls=Command)
@click.option("--older", metavar="D", help="Those that nobody has gone on with for so long: 30d, 12h.")
@click.option("--all", "everything", is_flag=True, help="All of them, also those that cannot be read.")
@click.option("--dry-run", is_flag=True, help="Only tell which.")
@click.option("--yes", is_flag=True, help="Do not ask before all of them are deleted.")
@click.pass_context
def prune(context: click.Context, older: str | None, everything: bool, dry_run: bool, yes: bool) -> int:
    """Delete kept conversations.

    Before --all deletes, it asks in a terminal; where nobody can be asked it needs --yes.
    """
    if (older is None) is not everything:
        raise Problem("say which conversations to delete", hint="--older 30d, or --all")
    seconds = _seconds(older) if older is not None else None
    store, out = Store.of_user(), Out()
    if everything and not (dry_run or yes) and not _agreed(len(store.clear(dry=True)), flags_of(context)):
        say(sys.stderr, flags_of(context).look(), "nothing was deleted", level="info")
        return Exit.NO
    gone = store.clear(dry=dry_run) if everything else [meta.id for meta in store.prune(older=seconds, dry=dry_run)]
    for session_id in gone:
        out.line(session_id)
    if flags_of(context).verbosity >= 0:
        done = "would be deleted" if dry_run else "deleted"
        say(sys.stderr, flags_of(context).look(), f"{_counted(len(gone), 'conversation')} {done}", level="info")
    return Exit.DONE


@command.command("path", cls=Command)
def path() -> int:
    """Print the folder where conversations are kept.

    Every conversation of `agentkit run` that has had a turn is kept there, those of pipes too, as text that only you
    can read: --no-keep, or AGENTKIT_NO_KEEP=1, keeps none. AGENTKIT_STATE_DIR names another folder.
    """
    Out().line(str(Store.of_user().folder))
    return Exit.DONE


def _agreed(count: int, flags: Flags) -> bool:
    """Ask whether so many conversations may be deleted.

    Raises:
        Problem: Nobody can be asked.
    """
    if not count:
        return True
    if flags.no_input or not (is_tty(sys.stdin) and is_tty(sys.stderr)):
        message = f"{_counted(count, 'conversation')} would be deleted, and nobody can be asked whether to"
        raise Problem(message, hint="--yes deletes them; --dry-run tells which")
    return click.confirm(f"delete {_counted(count, 'conversation')}?", err=True)


def _seconds(text: str) -> float:
    from agentkit.values import parse_duration

    try:
        return parse_duration(text)
    except ValueError as exc:
        raise Problem(f"--older {text}: {exc}") from exc


def _export(kept: "Kept", form: str) -> str:
    from agentkit.session.export import export as written

    return written(kept.snapshot().entries, form, names={})


def _lines(kept: "Kept") -> str:
    """Return the items, one a line, as JSON."""
    entries = msgspec.json.decode(_export(kept, "json"), type=_Exported).entries
    return "".join(f"{msgspec.json.format(entry, indent=-1).decode()}\n" for entry in entries)


def _put(target: str, data: bytes) -> None:
    """Write a file whole or not at all; what is none, as a pipe, is written into.

    Raises:
        OSError: It cannot be written.
    """
    path = Path(target)
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
    replace_file(Path(os.path.realpath(path)), data)


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"


def _row(meta: "Meta") -> tuple[str, ...]:
    cost = dollars(meta.cost_usd) if meta.cost_usd is not None else ""
    when, turns = _ago(time.time() - meta.updated), str(meta.turns)
    return tuple(map(one_line, (meta.id, when, meta.agent, turns, clock(meta.seconds), cost, meta.first)))


def _ago(seconds: float) -> str:
    for unit, size in (("d", DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{int(seconds / size)} {unit} ago"
    return "just now"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
