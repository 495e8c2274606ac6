"""`sekisho controller` as a process, before an API server that accepts connections and cuts every handshake."""

from __future__ import annotations

import itertools
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import yaml

from tests.support.cluster import kubeconfig_of
from tests.support.ports import free_port
from tests.support.waiting import eventually

SECONDS = 4.0


@contextmanager
def cutting_server() -> Iterator[int]:
    """As a load balancer whose servers are all gone: at any moment of the handshake."""
    pauses = itertools.cycle(number / 10_000 for number in range(20))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return  # The test has ended.
                time.sleep(next(pauses))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_handshakes_that_are_cut_harm_nothing_else(tmp_path: Path) -> None:
    health, log = free_port(), tmp_path / "controller.log"
    with cutting_server() as port, log.open("wb") as output:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(kubeconfig_of(f"https://127.0.0.1:{port}")))
        options = {
            "--kubeconfig": str(kubeconfig),
            "--namespace": "default",
            "--gateway-image": "sekisho:test",
            "--health": f"127.0.0.1:{health}",
            "--admin": f"127.0.0.1:{free_port()}",
            "--discovery": f"127.0.0.1:{free_port()}",
        }
        words = [word for option in options.items() for word in option]
        command = [sys.executable, "-m", "controller.cli", "controller", *words]
        with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
            try:
                eventually(lambda: alive(health), within=20, what="the health address answers")
                deadline = time.monotonic() + SECONDS
                while time.monotonic() < deadline:
                    assert alive(health)
                    time.sleep(0.02)
                assert process.poll() is None
            finally:
                process.terminate()
                process.wait(20)
    said = log.read_text()
    for wrong in ("Bad file descriptor", "is used by transport", "Traceback"):
        assert wrong not in said, said


def alive(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz/live")
        return connection.getresponse().status == 200
    except OSError as error:
        raise AssertionError(f"no answer: {error}") from error
    finally:
        connection.close()
