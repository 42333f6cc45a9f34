"""How fast agentkit is: one table of ratios against a client written by hand, measured in the same run.

    python tests/benchmarks/run.py              # all of it, below 3 minutes
    python tests/benchmarks/run.py --quick      # the same rows from fewer rounds, below 40 seconds
    python tests/benchmarks/run.py --only audio,tools

Parts: audio, append, tools, growth, imports, memory. It needs what the tests need and nothing else.

The client written by hand (handwritten.py) is what one writes without a framework: websockets, `json.loads`,
`base64.b64decode`, a growing buffer, and a tool loop. agentkit runs with its state and with a layer on every delta.
Both talk to the same server (server.py), whose frames were built ahead of time; each of the three is a process of its
own, the server on one core and the peers on another.

How to read it:

- `ratio` is agentkit's cost over the hand-written client's, or over its own cost at the small size ("growth"). The two
  take turns in slices of a second or less; a ratio is taken within a slice pair, and the median of them is shown, with
  the middle half of them beside it. A wide half means that the machine was busy: run it again.
- CPU is the process's own time, so other programs disturb it little. Round trips are real time, seen by the server
  from writing a call to reading its last output; they are only worth something on a quiet machine.
- A "handler's delta" is one that a handler of RealtimeClient's `conversation.updated` is told of.
- The first slice of a process is left out. "new process" is that first slice, 2,000 s of audio: the memory in which
  agentkit keeps audio is asked of the system for the first time there.
- Import rows are whole processes, from start to exit: the median of their CPU time, the interpreter's own included,
  and how many times that of `python -c pass` it is.
- Differences below 5% are noise. `over` is said where the median misses the budget; the exit code is 0 all the same,
  because a time is not a test.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from websockets.sync.client import connect

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ("by hand", "agentkit")
PARTS = ("audio", "append", "tools", "growth", "imports", "memory")
COMPLETE = (
    "import os; os.environ.update(_AGENTKIT_COMPLETE='bash_complete', COMP_WORDS='agentkit ch', COMP_CWORD='1');"
    "from agentkit.cli.main import main; main([])"
)
"""What a shell runs when Tab is pressed."""
BY_HAND_IMPORTS = "import asyncio, base64, json; from websockets.asyncio.client import connect"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table."""

    what: str
    budget: float
    unit: str = "x"
    base: str = ""
    """What the hand-written client took, or agentkit at the small size."""
    ours: str = ""
    value: float
    """What the budget is about: a ratio, milliseconds, kilobytes or a count."""
    spread: str = ""


class Seen(msgspec.Struct, frozen=True):
    """What the server has seen of one session."""

    appends: int
    creates: int
    round_trips: list[float]


class Worker:
    """A process that does one peer's work."""

    def __init__(self, peer: str, url: str) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.work", peer, url]
        path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )

    def do(self, work: str, **order: object) -> dict[str, float]:
        """Have a piece of work done, and return what it cost.

        Raises:
            RuntimeError: The peer failed; it has said why on stderr.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"work": work, **order}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer failed at {work} {order}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class Bench:
    """The measurements."""

    def __init__(self, url: str, *, quick: bool) -> None:
        self._url = url
        self._quick = quick

    @contextmanager
    def _workers(self, *peers: str) -> Iterator[list[Worker]]:
        workers = [Worker(peer, self._url) for peer in peers]
        try:
            yield workers
        finally:
            for worker in workers:
                worker.end()

    def _seen(self) -> list[Seen]:
        """What the server has seen since the last time, by session."""
        with connect(f"{self._url}/stats") as connection:
            return msgspec.json.decode(connection.recv(), type=list[Seen])

    def _pairs(self, slices: int, cost: Callable[[Worker], list[float]]) -> list[list[tuple[float, float]]]:
        """Let both peers work in turns; per thing that is measured, the pairs of their costs."""
        found: list[list[tuple[float, float]]] = []
        for _ in range(1 if self._quick else 3):
            with self._workers(*PEERS) as (by_hand, ours):
                cost(by_hand), cost(ours)  # the first slice pays for caches
                for _ in range(slices):
                    pair = list(zip(cost(by_hand), cost(ours), strict=True))
                    found = found or [[] for _ in pair]
                    for pairs, one in zip(found, pair, strict=True):
                        pairs.append(one)
        return found

    def audio(self) -> list[Row]:
        """What one audio delta costs."""

        def cost(worker: Worker, items: int = 10 if self._quick else 20) -> list[float]:
            spent = worker.do("turn", spec=f"items={items},audio=100,text=25", responses=items)
            if (spent["audio_bytes"], spent["texts"]) != (items * 480_000, items * 25):
                raise RuntimeError(f"deltas were lost: {spent}")
            return [spent["cpu"] * 1e6 / (items * 125)]

        warm = self._pairs(7, cost)[0]
        first: list[tuple[float, float]] = []
        for _ in range(2 if self._quick else 5):
            with self._workers(*PEERS) as (by_hand, ours):
                cost(by_hand, 4), cost(ours, 4)
                first.append((cost(by_hand, 200)[0], cost(ours, 200)[0]))
        return [
            compared("audio delta, CPU", 0.5, warm),
            compared("audio delta, CPU, new process", 0.5, first),
        ]

    def append(self) -> list[Row]:
        """What sending 20 ms of audio costs."""
        bursts = 5 if self._quick else 10

        def cost(worker: Worker) -> list[float]:
            spent = worker.do("append", bursts=bursts)
            (seen,) = self._seen()
            if seen.appends != spent["frames"]:
                raise RuntimeError(f"the server has seen {seen.appends} of {spent['frames']} appends")
            return [spent["cpu"] * 1e6 / spent["frames"]]

        self._seen()
        return [compared("append of 20 ms, CPU", 0.5, self._pairs(7, cost)[0])]

    def tools(self) -> list[Row]:
        """How long the model waits for the outputs of a response's calls."""
        rows = []
        calls = 200 if self._quick else 300
        for par, name in ((1, "tool round trip, 1 call"), (2, "tool round trip, 2 at once")):

            def cost(worker: Worker, par: int = par) -> list[float]:
                spent = worker.do("turn", spec=f"calls={calls},par={par}", responses=calls + 1)
                (seen,) = self._seen()
                if len(seen.round_trips) != calls or seen.creates != calls + 1:
                    raise RuntimeError(f"{seen.creates} response.create for {calls} rounds")
                return [statistics.median(seen.round_trips) * 1e6, spent["cpu"] * 1e6 / calls]

            self._seen()
            trips, spent = self._pairs(4 if self._quick else 5, cost)
            rows += [compared(f"{name}, time", 1.2, trips), compared(f"{name}, CPU", 1.2, spent)]
        return rows

    def growth(self) -> list[Row]:
        """Whether a delta costs more in a long item, or after many items."""

        def spent(worker: Worker, repeat: int, items: int, audio: int, text: int) -> float:
            spec = f"items={items},audio={audio},text={text}"
            took = worker.do("turn", spec=spec, responses=items, repeat=repeat)
            return took["cpu"] * 1e6 / (repeat * items * (audio + text))

        def minutes(worker: Worker, number: int, repeat: int = 1) -> float:
            return spent(worker, repeat, 1, 600 * number, 150 * number)

        pairs: dict[str, list[tuple[float, float]]] = {}
        for peer, name in (("agentkit", "delta"), ("client", "handler's delta")):
            with self._workers(peer) as (worker,):
                minutes(worker, 1, 5)
                for _ in range(3 if self._quick else 6):
                    one, few = minutes(worker, 1, 20), spent(worker, 20, 100, 2, 10)
                    many = (few, spent(worker, 1, 4000, 2, 10))
                    pairs.setdefault(f"{name} in an item of 20 min / of 1 min", []).append((one, minutes(worker, 20)))
                    pairs.setdefault(f"{name} in an item of 60 min / of 1 min", []).append((one, minutes(worker, 60)))
                    pairs.setdefault(f"{name} with 4,000 items / with 100", []).append(many)
        return [compared(what, 1.1, costs) for what, costs in pairs.items()]

    def imports(self) -> list[Row]:
        """How long it takes until something can begin."""
        python = [sys.executable, "-W", "ignore"]
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder, "agent.yaml")
            config.write_text(hundred_lines(), encoding="utf-8")
            commands = {
                "pass": [*python, "-c", "pass"],
                "by hand": [*python, "-c", BY_HAND_IMPORTS],
                "import agentkit": [*python, "-c", "import agentkit"],
                "from agentkit import open": [*python, "-c", "from agentkit import open"],
                "agentkit --help": [*python, "-m", "agentkit", "--help"],
                "agentkit --version": [*python, "-m", "agentkit", "--version"],
                "agentkit completion": [*python, "-c", COMPLETE],
                "agentkit check, 100 lines": [*python, "-m", "agentkit", "check", str(config)],
            }
            times: dict[str, list[float]] = {name: [] for name in commands}
            for number in range(4 if self._quick else 10):
                for name, command in commands.items():
                    took = cpu_of(command, bytecode=Path(folder))
                    if number:  # the first round compiles
                        times[name].append(took)
        nothing = statistics.median(times["pass"])
        by_hand = f"{statistics.median(times['by hand']):.0f} ms (pass: {nothing:.0f})"
        budgets = {"agentkit check, 100 lines": 300.0}
        return [
            Row(
                what=name,
                budget=budgets.get(name, 150.0),
                unit="ms",
                base=by_hand,
                ours=f"{statistics.median(times[name]):.0f} ms ({statistics.median(times[name]) / nothing:.1f} x pass)",
                value=statistics.median(times[name]),
                spread=middle_half(times[name], 0),
            )
            for name in commands
            if name not in ("pass", "by hand")
        ]

    def memory(self) -> list[Row]:
        """What idle sessions take, and what is left of them."""
        sessions = 50 if self._quick else 100
        with self._workers(*PEERS) as (by_hand, ours):
            base = by_hand.do("memory", sessions=sessions)
            held = ours.do("memory", sessions=sessions)
        kilobytes = held["bytes"] / 1024
        rows = [
            Row(
                what=f"idle session ({sessions} open)",
                budget=100,
                unit="KB",
                base=f"{base['bytes'] / 1024:.0f} KB",
                ours=f"{kilobytes:.0f} KB",
                value=kilobytes,
            )
        ]
        for kind in ("objects", "tasks", "threads"):
            left = held[kind]
            rows.append(Row(what=f"{kind} left after close", budget=0, unit="", ours=f"{left:.0f}", value=left))
        return rows


def compared(what: str, budget: float, pairs: list[tuple[float, float]]) -> Row:
    """Make a row of the pairs of costs that were measured in turns, in microseconds."""
    ratios = [ours / base for base, ours in pairs]
    base, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    value = statistics.median(ratios)
    unit = {"base": f"{base:.1f} us", "ours": f"{ours:.1f} us"}
    return Row(what=what, budget=budget, value=value, spread=middle_half(ratios, 2), **unit)


def middle_half(values: list[float], digits: int) -> str:
    """Return the range in which the middle half of the values lies."""
    if len(values) < 4:
        return ""
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.{digits}f}-{high:.{digits}f}"


def cpu_of(command: list[str], *, bytecode: Path) -> float:
    """Run a command and return the milliseconds of CPU that it took, once its modules are compiled.

    Raises:
        RuntimeError: It failed.
    """
    before = cpu_of_children()
    # What the environment says of bytecode must not decide what is measured.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(bytecode)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    after = cpu_of_children()
    if done.returncode != 0:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return (after - before) * 1000


def cpu_of_children() -> float:
    """Return the CPU seconds of all processes that have ended; where the system does not tell, the time."""
    try:
        import resource
    except ImportError:
        return time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def hundred_lines() -> str:
    """Write a configuration of 100 lines that needs no plugin."""
    head = """version: 1
agent:
  name: long
  greeting: Welcome to {{place_1}}.
  variables:
"""
    places = "".join(f"    place_{number}: 'the {number}th place of the tour'\n" for number in range(1, 41))
    middle = "  instructions: |\n" + "".join(f"    Guide visitors to {{{{place_{n}}}}}.\n" for n in range(1, 41))
    tail = """provider:
  use: local
session:
  output: text
  tool_choice: auto
middleware:
  - use: logger
    with: {path: "logs/{session}.jsonl"}
limits:
  session_time: 5m
  turns: 100
  tool_calls_per_turn: 8
"""
    text = head + places + middle + tail
    return text + "# the end\n" * (100 - text.count("\n"))


def table(rows: list[Row]) -> str:
    """Lay the rows out."""
    lines = [("", "budget", "by hand / small", "agentkit", "ratio", "middle half", "")]
    for row in rows:
        value = f"{row.value:.2f} x" if row.unit == "x" else ""
        budget = f"{row.budget:g} {row.unit}".strip()
        verdict = "ok" if row.value <= row.budget else "over"
        lines.append((row.what, f"<= {budget}", row.base, row.ours, value, row.spread, verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, 6) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


@contextmanager
def server() -> Iterator[str]:
    """Run the server, and give its address."""
    process = subprocess.Popen([sys.executable, str(HERE / "server.py")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"ws://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Compare agentkit with a client written by hand.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, below 40 seconds")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    arguments = parser.parse_args()
    parts = [part for part in arguments.only.split(",") if part]
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    rows: list[Row] = []
    with server() as url:
        bench = Bench(url, quick=arguments.quick)
        for part in parts:
            sys.stderr.write(f"{part} ...\n")
            rows += getattr(bench, part)()
    sys.stdout.write(table(rows) + "\n")


if __name__ == "__main__":
    main()
