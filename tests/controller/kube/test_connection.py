from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.kube.connection import from_kubeconfig, in_cluster
from gateway.errors import SettingsError

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    for name, content in (("token", "secret-token\n"), ("namespace", "system"), ("ca.crt", "a certificate")):
        (tmp_path / name).write_text(content)
    return tmp_path


def test_a_pod_finds_its_server_authority_namespace_and_token(account: Path) -> None:
    connection = in_cluster(POD, account)
    assert connection.server == "https://10.0.0.1:443"
    assert connection.authority == str(account / "ca.crt")
    assert connection.namespace == "system"
    assert connection.token.read() == "secret-token"
    assert "secret-token" not in repr(connection)


def test_an_address_of_version_6_is_bracketed(account: Path) -> None:
    assert in_cluster({**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}, account).server == "https://[fd00::1]:443"


def test_outside_of_a_pod_the_error_says_what_to_give(account: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="service account"):
        in_cluster({}, account)
    with pytest.raises(SettingsError, match="service account"):
        in_cluster(POD, tmp_path / "none")


def test_a_token_stays_while_its_file_cannot_be_read(account: Path) -> None:
    token = in_cluster(POD, account).token
    assert token.read() == "secret-token"
    (account / "token").unlink()
    token.refused()
    assert token.read() == "secret-token"


def kubeconfig(folder: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None) -> Path:
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(content))
    return path


def test_files_beside_a_kubeconfig_are_found(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file")
    path = kubeconfig(
        tmp_path, {"tokenFile": "token", "client-certificate": "/abs.crt"}, {"certificate-authority": "ca.crt"}
    )
    connection = from_kubeconfig(path)
    assert connection.server == "https://127.0.0.1:6443"
    assert connection.namespace == "shop"
    assert connection.authority == str(tmp_path / "ca.crt")
    assert connection.certificate == "/abs.crt"
    assert connection.token.read() == "from a file"


def test_inline_keys_are_kept_in_private_files_and_removed(tmp_path: Path) -> None:
    encoded = base64.b64encode(b"a key").decode()
    connection = from_kubeconfig(kubeconfig(tmp_path, {"client-key-data": encoded}))
    assert connection.key is not None
    key = Path(connection.key)
    assert key.read_bytes() == b"a key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    connection.forget()
    assert not key.parent.exists()


@pytest.mark.parametrize(
    ("user", "named"),
    [
        ({"exec": {"command": "aws"}}, "exec"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider"),
        ({"client-key-data": "%%%"}, "client-key-data"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path: Path, user: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        from_kubeconfig(kubeconfig(tmp_path, user))


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'elsewhere'"):
        from_kubeconfig(kubeconfig(tmp_path, {}), "elsewhere")


@pytest.mark.parametrize("content", ["[", "text", ""])
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(SettingsError, match="kubeconfig"):
        from_kubeconfig(path)
    with pytest.raises(SettingsError, match="kubeconfig"):
        from_kubeconfig(tmp_path / "none")
