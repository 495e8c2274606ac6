"""`sekisho inject`: manifests in, the same manifests with sidecars out.

Owns reading and writing; what is changed is ``controller.inject``'s. Comments are not kept: a YAML reader does not see
them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import yaml

from controller.inject import InjectionSettings, inject_document
from controller.sources.documents import Document, Fault, read_json, read_yaml, yaml_pieces
from gateway.errors import SettingsError

DEFAULT_URL = "https://sekisho-controller.sekisho-system.svc:15012"
_SUFFIXES = (".yaml", ".yml", ".json")
_NUMBER_LIKE = re.compile(r"[-+.0-9]")


def fill_parser(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "-f",
        "--file",
        dest="paths",
        action="append",
        required=True,
        metavar="PATH",
        help="manifest file or folder, or - for standard input; may be repeated",
    )
    parser.add_argument("--image", required=True, metavar="IMAGE", help="what sidecars run")
    parser.add_argument(
        "--controller", default=DEFAULT_URL, metavar="URL", help="where discovery is served (default: %(default)s)"
    )
    parser.add_argument("--image-pull-policy", choices=("Always", "IfNotPresent", "Never"), default="IfNotPresent")
    parser.add_argument(
        "--classic",
        action="store_true",
        help="a container beside the workload's, for clusters older than Kubernetes 1.29",
    )


def injection_settings(arguments: argparse.Namespace) -> InjectionSettings:
    """The settings that the options say."""
    return InjectionSettings(
        image=arguments.image,
        controller_url=arguments.controller.rstrip("/"),
        image_pull_policy=arguments.image_pull_policy,
        native=not arguments.classic,
    )


def run_inject(paths: Sequence[str], settings: InjectionSettings, out: IO[str], err: IO[str]) -> None:
    """Every document of ``paths`` to ``out``; what was done to which workload is told on ``err``."""
    documents = []
    for name, text in _texts(paths):
        for document in _documents(name, text):
            outcome = inject_document(document, settings)
            documents.append(outcome.document)
            if outcome.injected:
                print(f"{_name(document)}: has a sidecar now", file=err)
            elif outcome.skipped:
                print(f"{_name(document)}: has no sidecar, because {outcome.skipped}", file=err)
    yaml.dump_all(documents, out, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=120, allow_unicode=True)


def _texts(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        if path == "-":
            yield "standard input", sys.stdin.read()
            continue
        for file in _files(Path(path)):
            try:
                yield str(file), file.read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{file} cannot be read: {error}", "give a manifest file or folder") from error


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and file.suffix in _SUFFIXES)


def _documents(name: str, text: str) -> Iterator[Any]:
    """All of them or nothing: half of a manifest must not look like the whole."""
    found: list[tuple[int, Document | Fault]] = []
    if name.endswith(".json"):
        found = [(1, one) for one in read_json(text)]
    else:
        found = [(piece.line, one) for piece in yaml_pieces(text) for one in read_yaml(piece.text)]
    for line, one in found:
        if isinstance(one, Fault):
            raise SettingsError(f"{name}:{line + one.line - 1}: {one.message}", one.remedy)
        yield one.content


def _name(document: Any) -> str:
    metadata = document.get("metadata") or {}
    name = metadata.get("name") or metadata.get("generateName") or "without a name"
    namespace = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{document['kind']} {namespace}{name}"


class _Dumper(yaml.SafeDumper):
    """Without aliases, which few other readers take; text that some reader takes for a number is in quotes."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else "'" if _NUMBER_LIKE.match(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
