"""agentkit as one peer of another harness, which puts its ``common.py`` on the path: the work, and the hooks."""

from common import run
from ours import AgentkitPeer

if __name__ == "__main__":
    run("agentkit", lambda variant: AgentkitPeer())
