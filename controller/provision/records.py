"""Where a provisioned gateway writes records of egress decisions: its options, and the volumes they need.

Pure. Without anything asked for there is nothing of it: records are in the container's log.
"""

from __future__ import annotations

from typing import Any, Final

from controller.resources import EgressRecords, RecordCollector, RecordFiles

_FOLDER: Final = "/var/log/sekisho"
_VOLUME: Final = "records"
_SLACK: Final = 16 * 1024 * 1024
_AUTHORITIES: Final = "/etc/sekisho/collector-ca"
_AUTHORITIES_VOLUME: Final = "collector-ca"
_SHOWN: Final = "/etc/sekisho/collector-client"
_SHOWN_VOLUME: Final = "collector-client"
_GROUP_READS: Final = 0o440


def record_arguments(records: EgressRecords | None) -> list[str]:
    """Options of ``sekisho gateway``."""
    if records is None:
        return []
    arguments: list[str] = []
    if records.files is not None:
        arguments += ["--egress-log", f"{_FOLDER}/egress.jsonl"]
        arguments += ["--egress-log-size", str(records.files.max_bytes), "--egress-log-files", str(records.files.files)]
    if records.collector is not None:
        arguments += _collector_arguments(records.collector)
    return arguments


def _collector_arguments(collector: RecordCollector) -> list[str]:
    arguments = ["--egress-otlp", collector.url]
    if collector.ca_config_map is not None:
        arguments += ["--egress-otlp-ca", f"{_AUTHORITIES}/ca.crt"]
    if collector.client_certificate_secret is not None:
        arguments += ["--egress-otlp-certificate", f"{_SHOWN}/tls.crt", "--egress-otlp-key", f"{_SHOWN}/tls.key"]
    return arguments


def record_mounts(records: EgressRecords | None) -> list[dict[str, Any]]:
    """Of the container. Pods that share a claim write to folders of their own."""
    if records is None:
        return []
    mounts: list[dict[str, Any]] = []
    if records.files is not None:
        mount = {"name": _VOLUME, "mountPath": _FOLDER}
        if records.files.persistent_volume_claim is not None:
            mount["subPathExpr"] = "$(POD_NAME)"
        mounts.append(mount)
    where = {_AUTHORITIES_VOLUME: _AUTHORITIES, _SHOWN_VOLUME: _SHOWN}
    names = [volume["name"] for volume in _collector_volumes(records.collector)]
    return mounts + [{"name": name, "mountPath": where[name], "readOnly": True} for name in names]


def record_volumes(records: EgressRecords | None) -> list[dict[str, Any]]:
    """Of the pod."""
    if records is None:
        return []
    volumes = _collector_volumes(records.collector)
    if records.files is None:
        return volumes
    claim = records.files.persistent_volume_claim
    if claim is not None:
        return [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": claim}}, *volumes]
    return [{"name": _VOLUME, "emptyDir": {"sizeLimit": str(_room(records.files))}}, *volumes]


def _collector_volumes(collector: RecordCollector | None) -> list[dict[str, Any]]:
    """Of what the collector is verified by and shown. The group of the pod may read the key, and nobody else."""
    volumes: list[dict[str, Any]] = []
    if collector is not None and collector.ca_config_map is not None:
        volumes.append({"name": _AUTHORITIES_VOLUME, "configMap": {"name": collector.ca_config_map}})
    if collector is not None and collector.client_certificate_secret is not None:
        secret = {"secretName": collector.client_certificate_secret, "defaultMode": _GROUP_READS}
        volumes.append({"name": _SHOWN_VOLUME, "secret": secret})
    return volumes


def _room(files: RecordFiles) -> int:
    """Bytes. A pod that writes more than its volume's limit is evicted, so there is room to spare."""
    whole = files.max_bytes * files.files
    return whole + whole // 4 + _SLACK
