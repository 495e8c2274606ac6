"""The load generators: wrk for HTTP/1.1, h2load for HTTP/2. Both pinned to the core beside the proxy's."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.workloads import HOST, Workload

POST_BYTES = 64
SAMPLES = 1_000
WARM_ATTEMPTS = 10
STEADY_CLIENTS, STEADY_PER_CLIENT = 20, 50
STEADY_PER_SECOND = STEADY_CLIENTS * STEADY_PER_CLIENT
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}


@dataclass(frozen=True)
class Load:
    """What the load generator saw; latencies in milliseconds."""

    requests: int
    failed: int
    seconds: float
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def generate(workload: Workload, port: int, core: int, directory: Path, seconds: int) -> Load:
    """Put the load on a proxy, and wait for its end."""
    if workload.protocol == "http1":
        return _wrk(workload, port, core, directory, seconds)
    return _h2load(workload, port, core, directory, seconds)


def warm(workload: Workload, port: int, core: int, directory: Path, seconds: int) -> None:
    """Put the load on a proxy until it answers: on a busy machine hundreds of first handshakes may take their time."""
    for _ in range(WARM_ATTEMPTS):
        if generate(workload, port, core, directory, seconds).requests:
            return
    raise RuntimeError(f"{workload.name}: nothing was answered in {WARM_ATTEMPTS} attempts of {seconds} s")


def generate_steadily(port: int, core: int, directory: Path, seconds: int) -> Load:
    """HTTP/1.1 at a rate that leaves the proxy mostly idle: latencies are then those of the way, not of a queue."""
    command = ["h2load", "--h1", "--clients", str(STEADY_CLIENTS), "--rps", str(STEADY_PER_CLIENT)]
    return _run_h2load([*command, f"http://127.0.0.1:{port}/"], core, directory, seconds)


def _run(command: list[str], core: int, seconds: int) -> str:
    done = subprocess.run(
        ["taskset", "--cpu-list", str(core), *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds * 3 + 30,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _wrk(workload: Workload, port: int, core: int, directory: Path, seconds: int) -> Load:
    script = directory / f"{workload.name}.lua"
    script.write_text(_requests_in_turn(workload))
    command = ["wrk", "--threads", "1", "--connections", str(workload.connections), "--latency", "--timeout", "10s"]
    command += ["--duration", f"{seconds}s", "--script", str(script), f"http://127.0.0.1:{port}/"]
    text = _run(command, core, seconds)
    total = re.search(r"(\d+) requests in ([\d.]+)(\w+),", text)
    assert total is not None, text
    failed = sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    for errors in re.findall(r"Socket errors: (.+)", text):
        failed += sum(int(number) for number in re.findall(r"\d+", errors))
    return Load(
        requests=int(total.group(1)),
        failed=failed,
        seconds=float(total.group(2)) * _UNITS[total.group(3)] / 1e3,
        p50=_percentile_of_wrk(text, 50),
        p99=_percentile_of_wrk(text, 99),
    )


def _percentile_of_wrk(text: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(\w+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found.group(1)) * _UNITS[found.group(2)]


def _requests_in_turn(workload: Workload) -> str:
    """A script that goes through a sample of the routes, spread evenly over all of them."""
    routes = list(workload.routes())
    step = max(1, len(routes) // SAMPLES)
    lines = [
        f'requests[{number}] = wrk.format("GET", "{path}", {{["Host"] = "{host}"}})'
        for number, (host, path) in enumerate(routes[::step])
    ]
    count = len(lines)
    return "\n".join(
        [
            "local requests = {}",
            "function init()",
            *lines,
            "end",
            "local turn = 0",
            f"function request() turn = (turn + 1) % {count}; return requests[turn] end",
        ]
    )


def _h2load(workload: Workload, port: int, core: int, directory: Path, seconds: int) -> Load:
    scheme = "https" if workload.protocol == "h2-tls" else "http"
    command = ["h2load", "--clients", str(workload.connections), "--max-concurrent-streams", str(workload.streams)]
    if workload.protocol == "h2c":
        body = directory / "body"
        body.write_bytes(b"x" * POST_BYTES)
        command += ["--data", str(body)]
    command += ["--header", f":authority: {HOST}", f"{scheme}://127.0.0.1:{port}/"]
    return _run_h2load(command, core, directory, seconds)


def _run_h2load(command: list[str], core: int, directory: Path, seconds: int) -> Load:
    times = directory / "times.log"
    times.unlink(missing_ok=True)
    program, *arguments = command
    options = ["--threads", "1", "--duration", str(seconds), "--log-file", str(times)]
    text = _run([program, *options, *arguments], core, seconds)
    counted = re.search(r"requests: .*?(\d+) succeeded, (\d+) failed, (\d+) errored", text)
    assert counted is not None, text
    latencies = sorted(int(line.split("\t")[2]) / 1e3 for line in times.read_text().splitlines())
    times.unlink()
    requests, failed, errored = map(int, counted.groups())
    return Load(
        requests=requests,
        failed=failed + errored,
        seconds=float(seconds),
        # Nothing may have been answered at all.
        p50=latencies[len(latencies) // 2] if latencies else 0.0,
        p99=latencies[len(latencies) * 99 // 100] if latencies else 0.0,
    )
