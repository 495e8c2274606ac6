"""The README and `docs` are held to the code: reason codes, features, settings, commands, options and manifests."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from controller import cli
from controller.offline import Offline
from controller.resources import GatewayLimits, GatewayParametersSpec, duration_ms
from controller.translate.features import CLUSTER_FEATURES
from controller.translate.ingress_annotations import GUARDS, PREFIX, read_settings
from gateway.routing_table import model
from gateway.routing_table.reasons import FLAGS
from tests.support.backends.http1 import Http1Backend
from tests.support.edge import Edge
from tests.support.ports import free_port
from tests.support.sekisho import Sekisho

ROOT = Path(__file__).parent.parent
README = "\n\n".join(path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))
MANIFESTS = [block for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if block.startswith("apiVersion:")]


def table(header: str) -> list[list[str]]:
    rows = README.partition(header)[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", row.strip("|"))] for row in rows]


def test_every_reason_code_is_there_with_its_flag() -> None:
    codes = {row[0]: row[1] for row in table("| code | flag | status | meaning |")}
    assert codes == {str(reason): flags for reason, flags in FLAGS.items()}


def test_reserved_codes_are_those_that_the_engine_never_gives() -> None:
    engine = Path(__file__).parent.parent / "gateway" / "engine" / "proxy" / "src"
    given = {name for path in engine.rglob("*.rs") for name in re.findall(r"Reason::([A-Z]\w+)", path.read_text())}
    reserved = {row[0] for row in table("| code | flag | status | meaning |") if row[3].startswith("reserved")}
    assert reserved
    assert not {code.title().replace("_", "") for code in reserved} & given


def test_every_claimed_feature_is_there_and_no_other() -> None:
    section = README.partition("Conformance features")[2].partition("\n#")[0]
    kinds = "BackendTLSPolicy|GRPCRoute|Gateway|HTTPRoute|ListenerSet|ReferenceGrant|TCPRoute|TLSRoute|UDPRoute"
    named = re.findall(rf"`((?:{kinds})\w*)`", section)
    assert sorted(named) == [feature.name for feature in CLUSTER_FEATURES]


def test_every_setting_is_there_with_its_default() -> None:
    parameters = next(block for block in MANIFESTS if "kind: GatewayParameters" in block)
    shown = msgspec.convert(yaml.safe_load(parameters)["spec"], GatewayParametersSpec)
    defaults = model.Gateway(key="default/edge")
    assert (shown.trusted_hops, shown.access_log) == (defaults.trusted_hops, defaults.access_log)
    for field in GatewayLimits.__struct_fields__:
        value = getattr(shown.limits, field)
        if isinstance(value, str):
            assert duration_ms(value) == getattr(defaults.limits, f"{field}_ms"), field
        else:
            assert value == getattr(defaults.limits, field), field


def test_every_manifest_is_without_a_problem(tmp_path: Path) -> None:
    for number, block in enumerate(MANIFESTS):
        (tmp_path / f"{number}.yaml").write_text(block)
    assert Offline([str(tmp_path)]).report().problems == ()


def test_the_first_manifest_of_the_readme_serves(tmp_path: Path) -> None:
    port = free_port()
    with Http1Backend("app") as app:
        text = MANIFESTS[0].replace("8080", str(port)).replace("3000", str(app.port))
        with Sekisho(tmp_path, text) as sekisho:
            assert Edge(sekisho, port, 0).curl("http://anything.example.com/").report.backend == "app"


@pytest.mark.parametrize("command", ["up", "demo"])
def test_every_option_of_the_gateway_is_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    options = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    shown = {row[0].split()[0] for row in table("| option of `up` and `demo` | default | |")}
    if command == "up":
        shown |= {row[0].split()[0] for row in table("| option of `up` | default | |")}
    assert shown == options - {"--directory"}


def test_every_annotation_that_is_listed_is_honoured_or_guards() -> None:
    rows = table("| annotation `nginx.ingress.kubernetes.io/…` | |")
    names = [name for row in rows for name in re.findall(r"`([a-z-]+)`", f"`{row[0]}`")]
    assert len(names) > 30
    for name in names:
        found = read_settings({PREFIX + name: "true"})
        assert not any("not supported" in notice for notice in found.notices), name
    assert set(names) >= GUARDS
