from __future__ import annotations

import json
from pathlib import Path

import pytest

from controller import cli
from gateway import __version__
from tests.support.ports import free_port

GOOD = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: sekisho
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: [shop.example.com]
  rules:
    - matches: [{path: {value: /cart}}]
      backendRefs: [{name: shop, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {type: ExternalName, externalName: localhost, ports: [{port: 80, targetPort: 3000}]}
"""


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("shop.yaml")
    path.write_text(GOOD)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_check_shows_every_condition_as_it_would_be_written(
    manifests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, output, _ = run(capsys, "check", "-f", str(manifests))
    assert status == 0
    fine = "Accepted=True Accepted, Programmed=True Programmed, ResolvedRefs=True ResolvedRefs"
    assert output.splitlines() == [
        f"Gateway/default/edge (shop.yaml:1): {fine}",
        f"  http http://127.0.0.1:8080 (1 route attached): {fine}, Conflicted=False NoConflicts",
        "HTTPRoute/default/shop (shop.yaml:8)",
        "  Gateway edge: Accepted=True Accepted, ResolvedRefs=True ResolvedRefs",
        "ok: 2 objects, no problem",
    ]


def test_check_fails_on_a_problem_and_says_where_it_is(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifests.write_text(GOOD.replace("name: shop, port: 80", "name: none, port: 80"))
    status, output, _ = run(capsys, "check", "-f", str(manifests))
    assert status == 1
    assert "error: shop.yaml:8: HTTPRoute default/shop, Gateway edge: ResolvedRefs=False (BackendNotFound)" in output
    assert output.endswith("1 error\n")


def test_check_fails_on_a_warning_too(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifests.write_text(
        GOOD.replace("metadata: {name: shop}\nspec:\n", "metadata: {name: shop}\nspec:\n  colour: red\n")
    )
    status, output, _ = run(capsys, "check", "-f", str(manifests))
    assert status == 1
    assert "warning: shop.yaml" in output
    assert "colour" in output


def test_check_leaves_objects_of_other_kinds_alone(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = "".join(
        f"---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\n"
        for version, kind, name in (
            ("apps/v1", "Deployment", "a"),
            ("apps/v1", "Deployment", "b"),
            ("batch/v1", "Job", "c"),
        )
    )
    manifests.write_text(GOOD + others)
    status, output, _ = run(capsys, "check", "-f", str(manifests))
    assert status == 0
    summary, *notices, verdict = output.splitlines()[-5:]
    assert summary == "3 objects of other kinds left alone: Deployment, Job"
    assert verdict == "ok: 2 objects, no problem"
    assert [notice.partition(": Deployment")[0].partition(": Job")[0] for notice in notices] == [
        f"notice: {manifests}:{line}"
        for line in (len(GOOD.splitlines()) + 2, len(GOOD.splitlines()) + 6, len(GOOD.splitlines()) + 10)
    ]
    assert all(notice.endswith("→ nothing to do") for notice in notices)


def test_check_as_json_is_one_document(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(capsys, "check", "-f", str(manifests), "--output", "json")
    document = json.loads(output)
    assert status == 0
    assert [item["kind"] for item in document["objects"]] == ["Gateway", "HTTPRoute"]


def test_check_never_prints_a_private_key(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: tls}\ntype: kubernetes.io/tls\nstringData:\n"
    secret += "  tls.crt: not-a-certificate\n  tls.key: nobody-may-see-this\n"
    listener = "{name: s, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}}"
    manifests.write_text(f"{secret}---\n{GOOD.replace('protocol: HTTP}', 'protocol: HTTP}, ' + listener)}")
    for output_format in ("text", "json"):
        status, output, errors = run(capsys, "check", "-f", str(manifests), "-o", output_format)
        assert status == 1
        assert "nobody-may-see-this" not in output + errors


def test_explain_on_files_names_route_file_and_line(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "http://shop.example.com:8080/cart/1"
    status, output, _ = run(capsys, "explain", "-f", str(manifests), "get", url)
    assert status == 0
    assert output.splitlines() == [
        f"GET {url}",
        "  listener default/edge/http",
        "  routed",
        "  route HTTPRoute/default/shop/0, match 0  shop.yaml:8",
        "    backend Service/default/shop/80",
    ]


def test_explain_of_a_miss_shows_the_first_predicate_that_failed(
    manifests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, output, _ = run(capsys, "explain", "-f", str(manifests), "GET", "http://shop.example.com:8080/carts")
    assert status == 1
    assert "answers 404" in output
    assert "HTTPRoute/default/shop/0 match 0  shop.yaml:8" in output
    assert "'/cart'" in output


def test_explain_as_json_is_the_engine_s_answer_with_sources(
    manifests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "http://shop.example.com:8080/cart"
    _, output, _ = run(capsys, "explain", "-f", str(manifests), "GET", url, "-H", "x-a: 1", "-o", "json")
    answer = json.loads(output)
    assert (answer["decision"], answer["source"]) == ("route", "shop.yaml:8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explain", "-f", "shop.yaml", "GET", "shop.example.com"), "is not of the form http://host/path"),
        (("explain", "-f", "shop.yaml", "GET", "tcp://db.example.com"), "is not of the form tcp://host:port"),
        (("explain", "-f", "shop.yaml", "GET", "udp://127.0.0.1:53/path"), "is not of the form udp://host:port"),
        (("explain", "-f", "shop.yaml", "GET", "http://a/", "-H", "nothing"), "'name: value'"),
        (("explain", "-f", "shop.yaml", "--admin", "x:1", "GET", "http://a/"), "exclude each other"),
        (("up", "-f", "shop.yaml", "--admin", "nowhere"), "HOST:PORT"),
        (("up", "-f", "shop.yaml", "--workers", "0"), "--workers 0"),
        (("up", "-f", "shop.yaml", "--address", "localhost"), "not an IP address"),
        (("up", "-f", "shop.yaml", "--access-log", "/nowhere/at/all"), "cannot be written"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence_and_a_hint(
    manifests: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert manifests.exists()
    status, output, errors = run(capsys, *arguments)
    assert status == 2
    assert output == ""
    assert message in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("command", [("status",), ("explain", "GET", "http://a/")])
def test_without_a_running_gateway_the_command_says_so(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, errors = run(capsys, *command, "--admin", f"127.0.0.1:{free_port()}")
    assert status == 1
    assert "no gateway answers" in errors


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "version")[:2] == (0, f"sekisho {__version__}\n")
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"sekisho {__version__}\n"
    root = Path(cli.__file__).parent.parent
    assert f'version = "{__version__}"' in (root / "gateway/engine/Cargo.toml").read_text()
    assert f'version = "{__version__}"' in (root / "pyproject.toml").read_text()


@pytest.mark.parametrize("command", ["up", "check", "explain", "status", "demo"])
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert f"  sekisho {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "the controller's namespace is not known"),
        (["--namespace", "x", "--health", "here"], "--health 'here' is not of the form HOST:PORT"),
        (["--namespace", "x", "--kubeconfig", "/nowhere"], "/nowhere cannot be read as a kubeconfig file"),
        (["--namespace", "x"], "this process does not run in a pod"),
    ],
)
def test_a_controller_says_what_it_lacks(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POD_NAMESPACE", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    free = [item for name in ("--discovery", "--admin") for item in (name, "127.0.0.1:0")]
    if "--health" not in options:
        free += ["--health", "127.0.0.1:0"]
    status, _, errors = run(capsys, "controller", "--gateway-image", "x", *free, *options)
    assert status == 2
    assert words in errors


def test_explain_asks_the_sidecar_of_a_workload_and_names_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifests = Path(__file__).parents[1] / "translation" / "testdata" / "mesh-authorization.in.yaml"
    asked = ("explain", "-f", str(manifests), "--workload")
    web, other = (f"spiffe://cluster.local/ns/shop/sa/{name}" for name in ("web", "other"))

    status, output, _ = run(capsys, *asked, "shop/cart-1", "--from", web, "GET", "http://cart:8080/cart")
    assert status == 0
    assert "rule 0 of shop/by-labels allows it" in output
    assert "route Inbound/8080" in output

    status, output, _ = run(capsys, *asked, "shop/cart-1", "--from", other, "GET", "http://cart:8080/cart")
    assert status == 1
    assert "from[0].source.principals wants" in output

    status, _, error = run(capsys, *asked, "shop/nobody", "GET", "http://cart:8080/cart")
    assert status == 1
    assert "there are: shop/cart-1" in error
