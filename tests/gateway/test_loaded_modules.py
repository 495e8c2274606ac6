"""What a gateway's process loads: there are many of them, and each module costs all of them memory."""

from __future__ import annotations

import subprocess
import sys


def test_a_gateway_loads_no_library_that_only_others_need() -> None:
    program = "import sys, controller.command, gateway.cli, gateway.edge; print(*sorted(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(answer.stdout.split())
    assert {"gateway.edge", "gateway._engine"} <= loaded
    packages = {name.partition(".")[0] for name in loaded}
    assert not packages & {"aiohttp", "cryptography", "httpx", "kubernetes_asyncio", "uvloop", "yaml"}
    assert {name for name in loaded if name.startswith("controller.")} == {"controller.command"}
