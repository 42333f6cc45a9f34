"""``python -m agentkit``, and the command ``agentkit``.

Rule: nothing is imported here but when it runs, so that Ctrl-C ends even the start in good order.
"""

import sys


def main() -> int:
    """Run the command line and return the exit code."""
    try:
        from agentkit.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
