"""A text that the YAML parser has refused, and what becomes of that: one mistake with its place."""

from collections.abc import Sequence

from msgspec import Struct

from agentkit.config.diagnostics import Fix
from agentkit.config.scanning import Scan, is_content, starts_entry


class Mistake(Struct, frozen=True, kw_only=True):
    """One thing that is not YAML; rows and columns count from 0, the end is exclusive."""

    message: str
    row: int
    column: int
    end: int
    """In the same row."""
    code: str = "AK001"
    hint: str | None = None
    notes: tuple[str, ...] = ()
    fix: Fix | None = None
    first: int
    """The first row that cannot be read because of it."""
    last: int
    """The last one, as far as is known."""


class Refused(Struct, frozen=True, kw_only=True):
    """What the parser said, and the lines that it read."""

    said: str
    context: str
    lines: Sequence[str]
    row: int
    column: int
    began: tuple[int, int] | None
    """Where the list, map, quote or key began that it was reading."""
    seen: Scan
    """What the lines look like."""

    @property
    def line(self) -> str:
        """The line where it gave up; empty at the end of the text."""
        return self.lines[self.row] if self.row < len(self.lines) else ""

    def mistake(
        self,
        message: str,
        hint: str | None = None,
        *,
        at: tuple[int, int] | None = None,
        end: int | None = None,
        code: str = "AK001",
        fix: Fix | None = None,
        notes: tuple[str, ...] = (),
    ) -> Mistake:
        """Make the mistake, where the parser gave up unless another place is given."""
        row, column = at if at is not None else (self.row, self.column)
        row = min(row, max(len(self.lines) - 1, 0))
        opener = self.seen.opened[row] if row < len(self.seen.opened) else None
        return Mistake(
            message=message,
            row=row,
            column=column,
            end=end if end is not None else column + 1,
            code=code,
            hint=hint,
            notes=notes,
            fix=fix,
            first=row if opener is None else opener[0],
            last=max(row, self.row if is_content(self.line) and not starts_entry(self.line) else row),
        )
