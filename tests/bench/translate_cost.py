"""What translation costs: 5,000 routes from scratch, and one change among them.

.venv/bin/python -m tests.bench.translate_cost [--routes 5000] [--no-mesh]
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator

import msgspec

from controller.resources import Resource
from controller.resources.parse import parse
from controller.store import Store
from controller.translate import Options, Translator, Update, diff

NAMESPACES = 50
REPEATS = 50
Measured = Callable[[], Update]


def gateway() -> dict[str, object]:
    """One Gateway that takes routes of all namespaces."""
    listener = {"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}}
    return _object(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        "infra",
        "web",
        {"gatewayClassName": "sekisho", "listeners": [listener]},
    )


def route(number: int, path: str = "/", port: int = 80) -> dict[str, object]:
    """A route of its own host, with a match, a filter and a backend."""
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}, "headers": [{"name": "x-version", "value": "v1"}]}],
        "filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-a", "value": "b"}]}}
        ],
        "backendRefs": [{"name": f"service-{number}", "port": port}],
    }
    spec = {
        "parentRefs": [{"name": "web", "namespace": "infra"}],
        "hostnames": [f"host-{number}.example.com"],
        "rules": [rule],
    }
    return _object("gateway.networking.k8s.io/v1", "HTTPRoute", _namespace(number), f"route-{number}", spec)


def service(number: int) -> dict[str, object]:
    """The route's backend."""
    ports = [{"name": "http", "port": 80, "targetPort": 3000}, {"name": "alt", "port": 81, "targetPort": 3001}]
    return _object("v1", "Service", _namespace(number), f"service-{number}", {"ports": ports})


def endpoint_slice(number: int, pods: int = 2) -> dict[str, object]:
    """Its endpoints."""
    name = f"service-{number}"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-1",
            "namespace": _namespace(number),
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [f"10.{number // 250}.{number % 250}.{pod + 1}"]} for pod in range(pods)],
        "ports": [{"name": "http", "port": 3000}, {"name": "alt", "port": 3001}],
    }


def cluster(routes: int) -> Iterator[Resource]:
    """Everything at once."""
    yield _parsed(gateway())
    for number in range(routes):
        yield _parsed(route(number))
        yield _parsed(service(number))
        yield _parsed(endpoint_slice(number))


def measure(routes: int, *, mesh: bool) -> dict[str, float]:
    """Milliseconds by case: the median, except for the run from scratch."""
    options = Options(regex_problem=lambda _pattern: None, mesh=mesh)
    store = Store()
    resources = list(cluster(routes))
    changed = store.apply(resources)
    snapshot = store.snapshot()
    translator = Translator(options)
    gc.collect()
    started, used = time.perf_counter(), time.process_time()
    update = translator.update(snapshot, changed)
    results = {
        "from scratch": (time.perf_counter() - started) * 1000,
        "from scratch, CPU": (time.process_time() - used) * 1000,
    }
    if len(update.translation.tables["standalone"].routes) != routes:
        raise SystemExit("not every route is in the table: the measurement means nothing")
    cases: dict[str, Callable[[int], dict[str, object]]] = {
        "one route, path changed": lambda turn: route(turn * 7 % routes, path=f"/{turn}"),
        "one route, backend port changed": lambda turn: route(turn * 11 % routes, port=81),
        "one slice, pod added": lambda turn: endpoint_slice(turn * 13 % routes, pods=3),
        "one route added": lambda turn: route(routes + turn),
    }
    for name, document in cases.items():
        times = []
        for turn in range(REPEATS):
            changed = store.apply([_parsed(document(turn))])
            snapshot = store.snapshot()
            before = update
            started = time.perf_counter()
            update = translator.update(snapshot, changed)
            times.append((time.perf_counter() - started) * 1000)
            if len(update.changes) != 1:
                raise SystemExit(f"{name}: nothing changed, so nothing was measured")
        results[name] = statistics.median(times)
    started = time.perf_counter()
    diff(before.translation.tables["standalone"], update.translation.tables["standalone"])
    results["difference of two tables"] = (time.perf_counter() - started) * 1000
    return results


def _namespace(number: int) -> str:
    return f"team-{number % NAMESPACES}"


def _object(version: str, kind: str, namespace: str, name: str, spec: object) -> dict[str, object]:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": msgspec.to_builtins(spec),
    }


def _parsed(document: dict[str, object]) -> Resource:
    resource = parse(document).resource
    if resource is None:
        raise SystemExit(f"{document['kind']} is not valid: {parse(document).problems}")
    return resource


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=5000)
    parser.add_argument("--mesh", action=argparse.BooleanOptionalAction, default=True)
    chosen = parser.parse_args()
    routes = chosen.routes
    print(f"{routes} routes, {routes} Services, {routes} EndpointSlices, {NAMESPACES} namespaces")
    for name, milliseconds in measure(routes, mesh=chosen.mesh).items():
        print(f"{name:<34} {milliseconds:>10.3f} ms")


if __name__ == "__main__":
    main()
