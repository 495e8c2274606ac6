"""Where a provisioned gateway writes records of egress decisions: its options, and the volumes they need.

Pure. Without anything asked for there is nothing of it: records are in the container's log.
"""

from __future__ import annotations

from typing import Any, Final

from controller.resources import EgressRecords, RecordFiles

_FOLDER: Final = "/var/log/sekisho"
_VOLUME: Final = "records"
_SLACK: Final = 16 * 1024 * 1024


def record_arguments(records: EgressRecords | None) -> list[str]:
    """Options of ``sekisho gateway``."""
    if records is None:
        return []
    arguments: list[str] = []
    if records.files is not None:
        arguments += ["--egress-log", f"{_FOLDER}/egress.jsonl"]
        arguments += ["--egress-log-size", str(records.files.max_bytes), "--egress-log-files", str(records.files.files)]
    if records.collector is not None:
        arguments += ["--egress-otlp", records.collector.url]
    return arguments


def record_mounts(records: EgressRecords | None) -> list[dict[str, Any]]:
    """Of the container. Pods that share a claim write to folders of their own."""
    if records is None or records.files is None:
        return []
    mount = {"name": _VOLUME, "mountPath": _FOLDER}
    if records.files.persistent_volume_claim is not None:
        mount["subPathExpr"] = "$(POD_NAME)"
    return [mount]


def record_volumes(records: EgressRecords | None) -> list[dict[str, Any]]:
    """Of the pod."""
    if records is None or records.files is None:
        return []
    claim = records.files.persistent_volume_claim
    if claim is not None:
        return [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": claim}}]
    return [{"name": _VOLUME, "emptyDir": {"sizeLimit": str(_room(records.files))}}]


def _room(files: RecordFiles) -> int:
    """Bytes. A pod that writes more than its volume's limit is evicted, so there is room to spare."""
    whole = files.max_bytes * files.files
    return whole + whole // 4 + _SLACK
