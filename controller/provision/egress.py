"""What egress needs of a provisioned gateway besides its table: options of its process, and the volumes behind them.

Pure. Without anything asked for there is nothing of it: records of decisions are in the container's log, and name
servers are verified by the image's authorities.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from controller.resources import EgressParameters, RecordCollector, RecordFiles

_FOLDER: Final = "/var/log/sekisho"
_SLACK: Final = 16 * 1024 * 1024
_GROUP_READS: Final = 0o440


class _Volume(NamedTuple):
    """A volume of the pod, as the container sees it."""

    name: str
    path: str
    source: dict[str, Any]
    mount: dict[str, Any]
    options: tuple[str, ...]
    """Of the process, which reads or writes there."""


def egress_arguments(egress: EgressParameters) -> list[str]:
    """Options of ``sekisho gateway``."""
    arguments: list[str] = []
    if egress.records is not None and egress.records.collector is not None:
        arguments += ["--egress-otlp", egress.records.collector.url]
    return [*arguments, *(option for volume in _volumes(egress) for option in volume.options)]


def egress_mounts(egress: EgressParameters) -> list[dict[str, Any]]:
    """Of the container."""
    return [{"name": volume.name, "mountPath": volume.path, **volume.mount} for volume in _volumes(egress)]


def egress_volumes(egress: EgressParameters) -> list[dict[str, Any]]:
    """Of the pod."""
    return [{"name": volume.name, **volume.source} for volume in _volumes(egress)]


def _volumes(egress: EgressParameters) -> Iterator[_Volume]:
    records = egress.records
    if records is not None and records.files is not None:
        yield _records(records.files)
    if records is not None and records.collector is not None:
        yield from _of_collector(records.collector)
    if egress.nameserver_ca_config_map is not None:
        yield _authorities("nameserver-ca", egress.nameserver_ca_config_map, "--egress-dns-ca")


def _records(files: RecordFiles) -> _Volume:
    file, size, most = f"{_FOLDER}/egress.jsonl", str(files.max_bytes), str(files.files)
    options = ("--egress-log", file, "--egress-log-size", size, "--egress-log-files", most)
    claim = files.persistent_volume_claim
    if claim is None:
        return _Volume("records", _FOLDER, {"emptyDir": {"sizeLimit": str(_room(files))}}, {}, options)
    # Pods that share a claim write to folders of their own.
    source = {"persistentVolumeClaim": {"claimName": claim}}
    return _Volume("records", _FOLDER, source, {"subPathExpr": "$(POD_NAME)"}, options)


def _room(files: RecordFiles) -> int:
    """Bytes. A pod that writes more than its volume's limit is evicted, so there is room to spare."""
    whole = files.max_bytes * files.files
    return whole + whole // 4 + _SLACK


def _of_collector(collector: RecordCollector) -> Iterator[_Volume]:
    if collector.ca_config_map is not None:
        yield _authorities("collector-ca", collector.ca_config_map, "--egress-otlp-ca")
    if collector.client_certificate_secret is not None:
        # The group of the pod may read the key, and nobody else.
        secret = {"secretName": collector.client_certificate_secret, "defaultMode": _GROUP_READS}
        path = "/etc/sekisho/collector-client"
        options = ("--egress-otlp-certificate", f"{path}/tls.crt", "--egress-otlp-key", f"{path}/tls.key")
        yield _Volume("collector-client", path, {"secret": secret}, {"readOnly": True}, options)


def _authorities(name: str, config_map: str, option: str) -> _Volume:
    path = f"/etc/sekisho/{name}"
    return _Volume(name, path, {"configMap": {"name": config_map}}, {"readOnly": True}, (option, f"{path}/ca.crt"))
