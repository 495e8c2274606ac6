"""Golden pairs: ``<name>.in.yaml`` holds objects, ``<name>.out.yaml`` the tables and statuses they become.

An input may begin with a document that is no object::

    options: {merge: false, portOffset: 8000}     # of the translation
    applied: {listeners: [...], rejected: [...]}  # an answer of the data plane to take into the statuses

Text of the form ``<name.crt>`` is replaced by the file of that name in ``testdata/pem``. In outputs,
certificates stand by their digest and private keys not at all. With ``options: {provision: true}`` the objects that
are provisioned stand in the output too.

``python -m tests.translation.golden --write`` writes the outputs anew: read the difference.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from controller.provision import ProvisionSettings, provisioned
from controller.resources import Resource
from controller.resources.parse import parse
from controller.resources.registry import REGISTRY
from controller.status import with_applied
from controller.store import Snapshot
from controller.translate import Infrastructure, Options, Translation, translate
from gateway.routing_table.model import Applied, Certificate, Resources, TrustBundle

DIRECTORY = Path(__file__).parent / "testdata"
_PEM = re.compile(r"<([a-z0-9-]+\.(?:crt|key))>")
_MAX_REGEX = 200
PROVISION = ProvisionSettings(image="registry.example/sekisho:1", bundle_pem="<bundle>")


class Case(msgspec.Struct, frozen=True):
    """An input, read."""

    name: str
    options: Options
    resources: tuple[Resource, ...]
    applied: Applied | None = None


def regex_problem(pattern: str) -> str | None:
    """Stands for the engine's check, with texts that depend on no library."""
    if len(pattern) > _MAX_REGEX:
        return f"it is longer than {_MAX_REGEX} characters"
    try:
        re.compile(pattern)
    except re.error:
        return "it does not compile"
    return None


def names() -> list[str]:
    """Every pair there is an input for."""
    return sorted(path.name.removesuffix(".in.yaml") for path in DIRECTORY.glob("*.in.yaml"))


def read(name: str) -> Case:
    """An input."""
    text = _PEM.sub(_pem_in_quotes, (DIRECTORY / f"{name}.in.yaml").read_text())
    documents = [document for document in yaml.safe_load_all(text) if document]
    settings: dict[str, Any] = {}
    if "kind" not in documents[0]:
        settings = documents.pop(0)
    options = {_snake(field): value for field, value in settings.get("options", {}).items()}
    applied = settings.get("applied")
    return Case(
        name=name,
        options=Options(regex_problem=regex_problem, **options),
        resources=tuple(resource_of(document) for document in documents),
        applied=msgspec.convert({"version": "1", **applied}, Applied) if applied else None,
    )


def resource_of(document: dict[str, Any]) -> Resource:
    """An object; one that breaks rules between its fields is taken all the same.

    An API server with other definitions may let it pass, so translation has to hold by itself.
    """
    parsed = parse(document)
    if parsed.resource is not None:
        return parsed.resource
    type_ = REGISTRY[document["apiVersion"], document["kind"]]
    fields = {name: value for name, value in document.items() if name not in type_.ignored}
    if type_.namespaced:
        fields["metadata"] = {"namespace": "default", **fields["metadata"]}
    return msgspec.convert(fields, type_)


def outcome(case: Case) -> Translation:
    """The translation, with the data plane's answer taken into the statuses if the case has one."""
    translation = translate(Snapshot(case.resources), case.options)
    if case.applied is None:
        return translation
    statuses = translation.statuses
    for table in translation.tables.values():
        statuses = with_applied(statuses, table, case.applied)
    return msgspec.structs.replace(translation, statuses=statuses)


def render(translation: Translation) -> str:
    """The output of a case."""
    document = {
        "tables": {name: _table(resources) for name, resources in sorted(translation.tables.items())},
        "statuses": {str(key): _plain(status) for key, status in sorted(translation.statuses.items())},
    }
    if translation.infrastructure:
        document["provisioned"] = {str(key): _objects(one) for key, one in sorted(translation.infrastructure.items())}
    if translation.notices:
        document["notices"] = {str(key): list(texts) for key, texts in translation.notices.items()}
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100_000, allow_unicode=True)


def _objects(infrastructure: Infrastructure) -> Any:
    """The manifests of a Gateway; where it is not known what it needs, why."""
    if infrastructure.problem is not None:
        return f"as it stands: {infrastructure.problem.message}"
    return [_plain(manifest) for manifest in provisioned(infrastructure, PROVISION)]


def expected(name: str) -> str:
    """The output as it is kept."""
    path = DIRECTORY / f"{name}.out.yaml"
    return path.read_text() if path.exists() else ""


def write(name: str) -> bool:
    """Bring an output up to date; whether that changed it."""
    rendered = render(outcome(read(name)))
    if rendered == expected(name):
        return False
    (DIRECTORY / f"{name}.out.yaml").write_text(rendered)
    return True


def _table(resources: Resources) -> Any:
    hidden = msgspec.structs.replace(
        resources,
        certificates=tuple(_hidden_certificate(certificate) for certificate in resources.certificates),
        trust_bundles=tuple(_hidden_bundle(bundle) for bundle in resources.trust_bundles),
    )
    return _plain(hidden)


def _hidden_certificate(certificate: Certificate) -> Certificate:
    return msgspec.structs.replace(certificate, chain=_digest(certificate.chain), private_key="<redacted>")


def _hidden_bundle(bundle: TrustBundle) -> TrustBundle:
    return msgspec.structs.replace(bundle, certificates=_digest(bundle.certificates))


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _plain(value: object) -> Any:
    return _without_nothing(msgspec.to_builtins(value))


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return _names_alone(
            {name: _without_nothing(item) for name, item in value.items() if not _is_nothing(name, item)}
        )
    if isinstance(value, list | tuple):
        return [_without_nothing(item) for item in value]
    return value


def _is_nothing(name: str, value: object) -> bool:
    """Absent, or a settings record in which every field has its default."""
    return value is None or (name in ("limits", "timeouts") and value == {})


def _names_alone(mapping: dict[str, Any]) -> dict[str, Any]:
    if "supportedFeatures" in mapping:
        mapping["supportedFeatures"] = [feature["name"] for feature in mapping["supportedFeatures"]]
    return mapping


def _pem_in_quotes(match: re.Match[str]) -> str:
    text = (DIRECTORY / "pem" / match[1]).read_text()
    return '"' + text.replace("\n", "\\n") + '"'


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)


class _Dumper(yaml.SafeDumper):
    """Puts mappings and lists that hold scalars alone on one line."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _represent(dumper: yaml.SafeDumper, data: dict[str, Any] | list[Any]) -> yaml.Node:
    values = data.values() if isinstance(data, dict) else data
    flow = not any(isinstance(value, dict | list) and value for value in values)
    if isinstance(data, dict):
        return dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=flow)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)


_Dumper.add_representer(dict, _represent)
_Dumper.add_representer(list, _represent)


def _main() -> Iterator[str]:
    parser = argparse.ArgumentParser(description="Golden pairs of the translation")
    parser.add_argument("--write", action="store_true", help="write the outputs anew")
    parser.add_argument("names", nargs="*", help="pairs to look at; all by default")
    arguments = parser.parse_args()
    for name in arguments.names or names():
        if arguments.write:
            if write(name):
                yield f"written: {name}"
        elif render(outcome(read(name))) != expected(name):
            yield f"differs: {name}"


if __name__ == "__main__":
    for line in _main():
        sys.stdout.write(line + "\n")
