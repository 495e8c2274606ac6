"""The rules in a real network namespace: who is redirected where, and that undoing leaves nothing and nobody else's."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.capture.install import Tool, shown
from gateway.capture.rules import nft_script
from gateway.capture.settings import CaptureSettings
from gateway.routing_table.marks import OWN_WORKLOAD_DSCP
from tests.support.namespaces import NetworkNamespace, namespace, needs_namespaces, network
from tests.support.sekisho import sekisho_command

TOOLS = [
    pytest.param(tool, marks=pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed"))
    for tool in ("nft", "iptables")
]
FAR, NEAR, NEAR6 = "10.9.0.2", "10.9.0.1", "fd77::1"

LISTEN = """
import socket, sys
for port in map(int, sys.argv[1:]):
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    import threading
    def serve(server=server, port=port):
        while True:
            connection, _ = server.accept()
            connection.sendall(str(port).encode())
            connection.close()
    threading.Thread(target=serve, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
DIAL = """
import os, socket, sys
host, port, group, dscp = sys.argv[1], *map(int, sys.argv[2:])
os.setgid(group)
try:
    six = ":" in host
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET) as connection:
        connection.settimeout(5)
        option = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if six else (socket.IPPROTO_IP, socket.IP_TOS)
        connection.setsockopt(*option, dscp << 2)
        connection.connect((host, port))
        print(connection.recv(100).decode() or "closed")
except OSError as error:
    print(type(error).__name__)
"""


@pytest.fixture
def pair() -> Iterator[tuple[NetworkNamespace, NetworkNamespace]]:
    """A workload with something on its ports and on the sidecar's, and somebody elsewhere."""
    with network([f"{NEAR}/24", f"{FAR}/24"]) as (_, (near, far)):
        servers = [
            subprocess.Popen(
                one.command(sys.executable, "-c", LISTEN, *ports),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for one, ports in ((near, ("15001", "15006", "8080", "15021", "22")), (far, ("80", "5432")))
        ]
        try:
            for server in servers:
                assert server.stdout is not None
                assert server.stdout.readline() == "ready\n"
            yield near, far
        finally:
            for server in servers:
                server.communicate(timeout=10)


def dial(one: NetworkNamespace, host: str, port: int, *, group: int = 0, dscp: int = 0) -> str:
    return one.run(sys.executable, "-c", DIAL, host, str(port), str(group), str(dscp)).strip()


def init(one: NetworkNamespace, tool: str, *arguments: str) -> str:
    return one.run(*sekisho_command("sidecar-init", "--tool", tool, *arguments))


@needs_namespaces
@pytest.mark.parametrize("tool", TOOLS)
def test_connections_are_redirected_both_ways_but_for_the_sidecar_s_and_those_left_out(
    pair: tuple[NetworkNamespace, NetworkNamespace], tool: Tool
) -> None:
    near, far = pair
    init(near, tool, "--exclude-inbound-port", "22", "--exclude-outbound-port", "5432")

    assert dial(near, FAR, 80) == "15001"
    assert dial(near, FAR, 5432) == "5432"
    assert dial(near, FAR, 80, group=1337) == "80"
    assert dial(near, "127.0.0.1", 8080) == "8080"
    assert dial(near, NEAR, 8080) == "8080"
    assert dial(far, NEAR, 8080) == "15006"
    assert dial(far, NEAR, 9999) == "15006"
    assert dial(far, NEAR, 22) == "22"
    assert dial(far, NEAR, 15021) == "15021"


@needs_namespaces
@pytest.mark.parametrize("tool", TOOLS)
def test_what_was_not_redirected_does_not_reach_the_ports_that_take_redirected_connections(
    pair: tuple[NetworkNamespace, NetworkNamespace], tool: Tool
) -> None:
    near, far = pair
    init(near, tool)

    for one, host in ((far, NEAR), (near, "127.0.0.1"), (near, NEAR)):
        for port in (15001, 15006):
            assert dial(one, host, port) in ("ConnectionRefusedError", "ConnectionResetError"), (host, port)


@needs_namespaces
@pytest.mark.parametrize("tool", TOOLS)
def test_what_the_sidecar_dials_of_its_own_workload_comes_in_like_others_but_for_what_it_brings_there(
    pair: tuple[NetworkNamespace, NetworkNamespace], tool: Tool
) -> None:
    near, _ = pair
    near.run("ip", "address", "add", f"{NEAR6}/64", "dev", "eth0", "nodad")
    init(near, tool, "--exclude-inbound-port", "22")

    for own, loopback in ((NEAR, "127.0.0.1"), (NEAR6, "::1")):
        assert dial(near, own, 8080, group=1337) == "15006"
        assert dial(near, own, 9999, group=1337) == "15006"
        assert dial(near, own, 8080, group=1337, dscp=OWN_WORKLOAD_DSCP) == "8080"
        assert dial(near, own, 22, group=1337) == "22"
        assert dial(near, own, 15021, group=1337) == "15021"
        assert dial(near, loopback, 8080, group=1337) == "8080"
        assert dial(near, own, 8080) == "8080"
    assert dial(near, FAR, 80, group=1337, dscp=OWN_WORKLOAD_DSCP) == "80"

    init(near, tool, "--no-inbound")
    assert dial(near, NEAR, 8080, group=1337) == "8080"


@needs_namespaces
@pytest.mark.parametrize("tool", TOOLS)
def test_twice_is_once_and_undoing_takes_exactly_these_rules(
    pair: tuple[NetworkNamespace, NetworkNamespace], tool: Tool
) -> None:
    near, far = pair
    theirs = "table inet theirs {\nchain output {\ntype filter hook output priority 0\ntcp dport 7 drop\n}\n}\n"
    near.run("nft", "-f", "-", text=theirs)
    before = near.run("nft", "list", "table", "inet", "theirs")
    init(near, tool, "--exclude-outbound-port", "80")
    once = sorted(near.run("nft", "list", "ruleset").splitlines())
    init(near, tool, "--exclude-outbound-port", "80")
    assert sorted(near.run("nft", "list", "ruleset").splitlines()) == once
    init(near, tool)
    assert dial(near, FAR, 80) == "15001"

    init(near, tool, "--undo")
    init(near, tool, "--undo")

    assert dial(near, FAR, 80) == "80"
    assert dial(far, NEAR, 8080) == "8080"
    assert "sekisho" not in near.run("nft", "list", "ruleset").lower()
    assert near.run("nft", "list", "table", "inet", "theirs") == before


@needs_namespaces
@pytest.mark.parametrize("tool", TOOLS)
def test_connections_that_are_open_already_go_on(pair: tuple[NetworkNamespace, NetworkNamespace], tool: Tool) -> None:
    near, far = pair
    with contextlib.ExitStack() as stack:
        with far.entered():
            server = stack.enter_context(socket.create_server((FAR, 7000)))
        with near.entered():
            dialled = stack.enter_context(socket.create_connection((FAR, 7000), timeout=5))
        accepted = stack.enter_context(server.accept()[0])
        accepted.settimeout(5)

        init(near, tool)

        for sender, receiver in ((accepted, dialled), (dialled, accepted)):
            sender.sendall(b"still here")
            assert receiver.recv(100) == b"still here"


@needs_namespaces
def test_one_direction_can_be_left_as_it_is(pair: tuple[NetworkNamespace, NetworkNamespace]) -> None:
    near, far = pair
    init(near, "nft", "--no-inbound", "--exclude-outbound-cidr", "10.9.0.2/32")
    assert dial(near, FAR, 80) == "80"
    assert dial(far, NEAR, 8080) == "8080"
    assert dial(far, NEAR, 15006) == "15006"


@needs_namespaces
def test_without_the_privilege_it_is_said_what_is_missing() -> None:
    with namespace() as one:
        command = one.command(
            "setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *sekisho_command("sidecar-init")
        )
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert "NET_ADMIN" in ended.stderr


def test_what_is_printed_is_what_would_be_done() -> None:
    settings = CaptureSettings(excluded_outbound_ports=("22",))
    assert shown("nft", settings) == nft_script(settings)
    lines = shown("iptables", settings).splitlines()
    assert {line.split()[0] for line in lines} == {"iptables", "ip6tables"}
    assert all(f"-d {block}" in "\n".join(lines) for block in ("127.0.0.0/8", "::1/128"))


def test_many_ports_are_several_rules_of_iptables() -> None:
    settings = CaptureSettings(excluded_outbound_ports=tuple(str(port) for port in range(1000, 1040)))
    listed = [line for line in shown("iptables", settings).splitlines() if "--dports 10" in line]
    assert len(listed) == 2 * 6
    assert max(line.count(",") for line in listed) < 15
