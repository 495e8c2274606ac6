"""Ports of a merged table as Gateways come, change and go: each has the owner that a fresh translation gives it.

The Gateways are few and want the same few sockets, so that most steps take a port from somebody or
free one. No exception may come out of a step: whoever drives the translator would lose its memory.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.resources import Resource
from controller.store import Key, Snapshot
from controller.translate import STANDALONE_TABLE, GatewayStatus, Options, Translation, Translator, translate
from tests.translation import golden

OPTIONS = Options(regex_problem=golden.regex_problem)
NAMES = ("ant", "bee", "cat")
ROUTE = golden.resource_of(
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop"},
        "spec": {"parentRefs": [{"name": name} for name in NAMES], "rules": [{}]},
    }
)
ADDRESSES: tuple[list[str], ...] = ([], ["127.0.0.2"], ["127.0.0.1", "127.0.0.2"])


def _gateway(
    name: str,
    *ports: int,
    month: int = 1,
    addresses: list[str] | None = None,
    class_name: str = "sekisho",
    protocol: str = "HTTP",
) -> Resource:
    listeners: list[dict[str, Any]] = [
        {"name": f"port-{index}", "protocol": protocol, "port": port} for index, port in enumerate(ports)
    ]
    return golden.resource_of(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": name, "creationTimestamp": f"2026-{month:02}-01T00:00:00Z"},
            "spec": {
                "gatewayClassName": class_name,
                "addresses": [{"value": address} for address in addresses or ()],
                "listeners": listeners,
            },
        }
    )


class _Play:
    """A translator that is given one change after the other, each checked against a fresh translation."""

    def __init__(self, options: Options = OPTIONS) -> None:
        self._options = options
        self._translator = Translator(options)
        self._snapshot = Snapshot()

    def step(self, *resources: Resource, gone: tuple[str, ...] = ()) -> Translation:
        """Put and remove Gateways in one change."""
        removed = [Key("Gateway", "default", name) for name in gone]
        changes: dict[Key, Resource | None] = {Key.of(resource): resource for resource in resources}
        changes |= {key: None for key in removed if key in self._snapshot}
        self._snapshot = self._snapshot.changed(changes)
        translation = self._translator.update(self._snapshot, changes).translation
        assert translation == translate(self._snapshot, self._options)
        return translation


def _owners(translation: Translation) -> dict[int, str]:
    table = translation.tables[STANDALONE_TABLE]
    return {listener.port: listener.gateway for listener in table.listeners}


def test_a_listener_is_removed_and_nobody_else_wants_its_port() -> None:
    play = _Play()
    play.step(_gateway("ant", 80, 8080))
    assert _owners(play.step(_gateway("ant", 80))) == {80: "default/ant"}


def test_a_listener_moves_to_another_port() -> None:
    play = _Play()
    play.step(_gateway("ant", 80))
    assert _owners(play.step(_gateway("ant", 8080))) == {8080: "default/ant"}


def test_the_younger_gateway_gets_the_port_of_a_removed_listener() -> None:
    play = _Play()
    before = play.step(_gateway("ant", 80, 8080), _gateway("bee", 80, month=2), ROUTE)
    assert _owners(before) == {80: "default/ant", 8080: "default/ant"}
    assert _owners(play.step(_gateway("ant", 8080))) == {80: "default/bee", 8080: "default/ant"}


def test_the_younger_gateway_gets_the_port_of_a_deleted_one() -> None:
    play = _Play()
    play.step(_gateway("ant", 80), _gateway("bee", 80, month=2), ROUTE)
    after = play.step(gone=("ant",))
    assert _owners(after) == {80: "default/bee"}
    status = after.statuses[Key("Gateway", "default", "bee")]
    assert isinstance(status, GatewayStatus)
    assert status.listeners[0].attached_routes == 1


def test_all_gateways_that_want_a_port_go_at_once() -> None:
    play = _Play()
    play.step(_gateway("ant", 80), _gateway("bee", 80, month=2), ROUTE)
    assert _owners(play.step(gone=("ant", "bee"))) == {}


def test_a_gateway_that_leaves_its_class_gives_its_ports_back() -> None:
    play = _Play()
    play.step(_gateway("ant", 80), _gateway("bee", 80, month=2))
    assert _owners(play.step(_gateway("ant", 80, class_name="other"))) == {80: "default/bee"}


def test_listeners_that_come_to_conflict_give_their_port_back() -> None:
    play = _Play()
    play.step(_gateway("ant", 80), _gateway("bee", 80, month=2))
    assert _owners(play.step(_gateway("ant", 80, 80))) == {80: "default/bee"}


gateways = st.builds(
    lambda name, ports, month, addresses, class_name, protocol: _gateway(
        name, *ports, month=month, addresses=addresses, class_name=class_name, protocol=protocol
    ),
    st.sampled_from(NAMES),
    st.lists(st.sampled_from((80, 443, 8080)), min_size=1, max_size=3),
    st.integers(1, 2),
    st.sampled_from(ADDRESSES),
    st.sampled_from(("sekisho", "sekisho", "sekisho", "other")),
    st.sampled_from(("HTTP", "HTTP", "HTTP", "TCP", "UDP")),
)
steps = st.tuples(st.lists(gateways, max_size=2), st.lists(st.sampled_from(NAMES), max_size=2).map(tuple))


@given(st.lists(steps, min_size=2, max_size=8), st.sampled_from((0, 8000, 65_000)))
@settings(max_examples=300)
def test_ports_change_hands_as_in_a_fresh_translation(
    story: list[tuple[list[Resource], tuple[str, ...]]], offset: int
) -> None:
    play = _Play(Options(regex_problem=golden.regex_problem, port_offset=offset))
    play.step(ROUTE)
    for resources, gone in story:
        play.step(*resources, gone=gone)
