"""What one egress policy costs that changes among many: 1,000 of 10 rules and 5 names each.

.venv/bin/python -m tests.bench.policy_cost [--policies 1000] [--changes 40] [--pause 0.2]

This process is the controller's half, from documents to deltas; the gateway is `sekisho gateway` as it is installed,
over TLS on the loopback. A change's time at the gateway is from the new table until it has answered that every worker
decides by it and that it is on its disk.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from controller.resources import Resource
from controller.resources.parse import parse
from controller.store import Store
from controller.translate import Options, Translator, Update
from gateway.routing_table import wire
from gateway.routing_table.model import Delta, Resources
from tests.bench.gateway_cost import answered, cpu_seconds, resident
from tests.support.cluster_gateway import ClusterGateway
from tests.support.discovery import ControllerHalf
from tests.support.manifests import Manifest, gateway, gateway_class, manifest
from tests.support.ports import free_port

_RULES, _NAMES = 10, 5
_SETTLE_SECONDS = 3.0


def policy(number: int, mark: str = "") -> Manifest:
    """``mark``: who is to be asked, so that there is something to change."""

    def rule(position: int) -> Manifest:
        suffix = f"rule-{position}.policy-{number}.example"
        names = [f"*.{suffix}", *(f"name-{name}.{suffix}" for name in range(1, _NAMES))]
        source = {"serviceAccounts": [f"app-{number}"]}
        return {"name": f"rule-{position}", "from": [source], "to": [{"names": names, "ports": [443]}]}

    spec: Manifest = {"targetRefs": [{"name": "edge"}], "rules": [rule(position) for position in range(_RULES)]}
    if mark:
        spec["contact"] = mark
    return manifest("sekisho.dev/v1alpha1", "EgressPolicy", f"policy-{number}", spec=spec)


def parsed(document: Manifest) -> Resource:
    result = parse(json.loads(json.dumps(document)))
    if result.resource is None or result.problems:
        raise SystemExit(f"{document['kind']} is not valid: {result.problems}")
    return result.resource


class Controller:
    """Documents in, tables out."""

    def __init__(self, count: int, port: int) -> None:
        listener = {"name": "proxy", "port": port, "protocol": "sekisho.dev/EgressProxy"}
        self._store = Store()
        self._translator = Translator(Options(regex_problem=lambda _pattern: None, merge=False))
        documents = [gateway_class(), gateway(listener), *map(policy, range(count))]
        self._first = [parsed(document) for document in documents]

    def take(self, *resources: Resource) -> tuple[Update, float]:
        """The translation, and the milliseconds of CPU that it took."""
        began = time.process_time()
        changed = self._store.apply(resources)
        update = self._translator.update(self._store.snapshot(), changed)
        return update, (time.process_time() - began) * 1e3

    def take_all(self) -> tuple[Update, float]:
        return self.take(*self._first)


def the_table(update: Update) -> Resources:
    return update.translation.tables["default/edge"]


def delta_bytes(update: Update) -> int:
    change = update.changes["default/edge"]
    return len(wire.encode(Delta(base="1", version="2", upsert=change.upsert, remove=change.remove)))


async def measure(directory: Path, count: int, changes: int, pause: float) -> None:
    before = resident(os.getpid())[0]
    control = Controller(count, free_port())
    update, spent = control.take_all()
    gc.collect()
    whole = the_table(update)
    if len(whole.egress_policies) != count or any(one.refusal for one in whole.egress_policies):
        raise SystemExit("not every policy is in the table as it was written: the measurement means nothing")
    print(
        f"controller: {count} policies translated in {spent:.0f} ms of CPU, {resident(os.getpid())[0] - before:.1f} MB"
    )
    async with ControllerHalf() as controller, ClusterGateway(directory, controller) as edge:
        await asyncio.sleep(_SETTLE_SECONDS)
        pid = edge.process.pid
        empty, used, began = resident(pid)[0], cpu_seconds(pid), time.perf_counter()
        controller.set(whole)
        await answered(controller)
        took = time.perf_counter() - began
        await asyncio.sleep(_SETTLE_SECONDS)
        now, most = resident(pid)
        print(
            f"gateway: {count} policies in force after {took * 1e3:.0f} ms and {cpu_seconds(pid) - used:.2f} s of CPU; "
            f"{now - empty:.1f} MB more than {empty:.1f}, at most {most:.1f}"
        )
        translated, taken, sizes = [], [], []
        used = cpu_seconds(pid)
        for change in range(changes):
            update, spent = control.take(parsed(policy(change * 7 % count, mark=f"change {change}")))
            translated.append(spent)
            sizes.append(delta_bytes(update))
            began = time.perf_counter()
            controller.set(the_table(update))
            await answered(controller)
            taken.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(pause)
        print(
            f"one change: translated in {statistics.median(translated):.1f} ms of CPU (most {max(translated):.1f}), "
            f"a delta of {statistics.median(sizes):.0f} bytes; in force after {statistics.median(taken):.1f} ms (most "
            f"{max(taken):.1f}), {(cpu_seconds(pid) - used) / changes * 1e3:.1f} ms of the gateway's CPU; "
            f"the gateway has {resident(pid)[0]:.1f} MB then"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, default=1_000)
    parser.add_argument("--changes", type=int, default=40)
    parser.add_argument("--pause", type=float, default=0.2)
    chosen = parser.parse_args()
    os.environ.pop("POD_NAME", None)
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(Path(directory), chosen.policies, chosen.changes, chosen.pause))


if __name__ == "__main__":
    main()
