"""``agentkit doctor``: what would stop a first run, each with how to mend it, and a report to paste.

Rule: a check never ends the command; whatever it meets becomes its finding. Nothing secret is shown.
"""

import sys
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from agentkit.cli.exits import Exit
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out
from agentkit.cli.terminal import Look, cells, is_tty, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkit.cli.doctor.findings import Check, Waiting
    from agentkit.masking import Masker

__all__ = ["command"]

_TONES: Final = {"ok": "green", "warn": "yellow", "FAIL": "red", "skip": "dim"}


@click.command("doctor", cls=Command, log_default="error")
@click.argument("config", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--offline", is_flag=True, help="Connect to nothing: neither the provider nor MCP servers.")
@click.option("--fix", is_flag=True, help="Mend what is safe to mend: caches, the editor's schema, missing folders.")
@click.pass_context
def command(context: click.Context, config: str | None, as_json: bool, offline: bool, fix: bool) -> int:
    """Find what would stop a first run of CONFIG (agent.yaml where none is named), and say how to mend it.

    Looks at Python, the plugins, the configuration, its environment variables, the provider and the key, MCP servers,
    the folders that are written, and the terminal. It ends with a report to paste, which holds no secrets.
    """
    from agentkit.cli.doctor.checks import Examination
    from agentkit.cli.signals import run_to_end
    from agentkit.masking import Masker

    flags = flags_of(context)
    out = Out()
    printer = Printer(out, flags, silent=as_json, masker=Masker())
    with _stdout_kept():
        fixed = _fix(flags, config) if fix else ()
        examination = Examination(flags, config, offline=offline)
        printer.show(examination.quick())
        run_to_end(_wait, examination.waiting(), printer)
    checks = printer.shown
    counts = {status: sum(each.status == status for each in checks) for status in _TONES}
    report = examination.report(checks)
    if as_json:
        out.json({"v": 1, "ok": not counts["FAIL"], "checks": checks, "fixed": fixed, "report": report})
    else:
        for line in fixed:
            out.line(f"  fixed {line}")
        out.line(_summary(counts))
        if flags.verbosity >= 0:
            printer.report(report)
    return Exit.NO if counts["FAIL"] else Exit.DONE


@contextmanager
def _stdout_kept() -> "Iterator[None]":
    """Send to stderr what plugins and tools print: stdout is for the findings."""
    stdout, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout = stdout


async def _wait(waiting: "Sequence[Waiting]", printer: "Printer") -> None:
    """Run all checks at once, and show each in its order as soon as those before it are done."""
    import anyio

    from agentkit.cli.doctor.findings import Check

    done: dict[int, Check] = {}
    shown = 0

    async def run(number: int, check: "Waiting") -> None:
        nonlocal shown
        try:
            done[number] = await check.run()
        except Exception as exc:  # noqa: BLE001  # isolation boundary: what a plugin does ends no other check
            message = f"{check.name} could not be looked at: {type(exc).__name__}: {exc}"
            done[number] = Check(name=check.name, status="FAIL", message=message, hint="agentkit -vv shows more")
        printer.clear()
        while shown in done:
            printer.show([done[shown]])
            shown += 1
        printer.waiting_for([each.name for place, each in enumerate(waiting) if place not in done])

    printer.waiting_for([each.name for each in waiting])
    try:
        async with anyio.create_task_group() as tasks:
            for number, check in enumerate(waiting):
                tasks.start_soon(run, number, check)
    finally:
        printer.clear()


def _summary(counts: dict[str, int]) -> str:
    parts = [
        f"{counts[status]} {word}{'s' * (counts[status] > 1)}"
        for status, word in (("FAIL", "failure"), ("warn", "warning"))
        if counts[status]
    ]
    return ", ".join(parts) or "no problems found"


class Printer:
    """Writes the findings as they come."""

    def __init__(self, out: Out, flags: Flags, *, silent: bool, masker: "Masker") -> None:
        self.shown: list[Check] = []
        self._out = out
        self._look = flags.look(out.stream)
        self._masker = masker
        self._silent = silent
        self._brief = flags.verbosity < 0
        self._progress = Progress(flags.look()) if is_tty(sys.stderr) and flags.verbosity >= 0 else None

    def show(self, checks: "Iterable[Check]") -> None:
        """Write findings, a line each; the hint goes below where it does not fit beside it."""
        from msgspec.structs import replace

        for check in checks:
            hint = self._masker.text(one_line(check.hint)) if check.hint else None
            safe = replace(check, message=self._masker.text(one_line(check.message)), hint=hint)
            self.shown.append(safe)
            if not self._silent and not (self._brief and safe.status in ("ok", "skip")):
                self._line(safe)

    def _line(self, check: "Check") -> None:
        look, margin = self._look, " " * 8
        mark = look.paint(f"{check.status:<4}", _TONES[check.status])
        hint = check.hint or ""
        if hint[:1].islower() and not hint.endswith("?"):  # what begins with a capital is a sentence
            hint = f"try: {hint}"
        beside = f"{check.message}     {hint}" if hint else check.message
        if look.width is None or len(margin) + cells(beside) <= look.width:
            self._out.line(f"  {mark}  {beside}")
            return
        lines = look.wrapped(margin + check.message, indent=len(margin))
        self._out.line(f"  {mark}  {lines[0][len(margin) :]}")
        for line in lines[1:]:
            self._out.line(line)
        for line in look.wrapped(margin + hint, indent=len(margin)) if hint else ():
            self._out.line(look.paint(line, "dim"))

    def waiting_for(self, names: Sequence[str]) -> None:
        """Say on a terminal what is waited for."""
        if self._progress is not None and names:
            self._progress.show(f"waiting for {', '.join(names)}")

    def clear(self) -> None:
        """Take that away again."""
        if self._progress is not None:
            self._progress.clear()

    def report(self, report: dict[str, str]) -> None:
        """Write the report to paste: not broken, so that it is pasted as it is."""
        self._out.line()
        self._out.line(self._look.paint("to paste into an issue:", "dim"))
        for key, value in report.items():
            self._out.line(f"  {key}: {self._masker.text(one_line(value))}")


class Progress:
    """One line on stderr that goes away; where no escapes may be written, there is none."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._there = False

    def show(self, text: str) -> None:
        """Write the line."""
        if self._look.color:
            sys.stderr.write("\r" + self._look.paint(self._look.cut(text), "dim"))
            sys.stderr.flush()
            self._there = True

    def clear(self) -> None:
        """Take it away."""
        if self._there:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._there = False


def _fix(flags: Flags, config: str | None) -> tuple[str, ...]:
    from agentkit.cli.doctor.fixes import mend

    return tuple(mend(flags, config))
