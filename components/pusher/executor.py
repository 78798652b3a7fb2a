"""Refuses a bundle that fails a gate, and releases any other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from components.artifacts import Gate, read_gates, write_json
from components.base import Inputs, Metrics, Outputs, UserError, warn
from components.pusher.component import PusherParameters
from edge_agent.bundle import archive
from fleet.repository import Repository, RepositoryError
from fleet.repository.files import write_whole


def execute(inputs: Inputs, outputs: Outputs, parameters: PusherParameters) -> Metrics:
    """Releases ``candidate.bundle`` and writes ``release.json`` and the trust root.

    Returns:
        ``new``: 1 if the release was made now, 0 if this very bundle was released before;
        ``bytes``: size of the bundle.

    Raises:
        UserError: if a gate failed, or the bundle cannot be released as asked.
    """
    if not parameters.repository or not parameters.root_json:
        raise UserError("Pusher.repository and Pusher.root_json: name a folder and a file")
    if "://" in parameters.repository:
        raise UserError(
            f"Pusher.repository={parameters.repository}: only a folder can be published to: name "
            "one, and have a web server serve it"
        )
    _demand_gates([inputs["evaluation"], inputs["infra_validation"]])
    repository = Repository(Path(parameters.repository), deltas=parameters.deltas)
    root_json = Path(parameters.root_json)
    _check_trust_root(repository, root_json)
    candidate = inputs["bundle"] / "candidate.bundle"
    try:
        workload = archive.read(candidate).manifest.workload
        release = repository.publish(
            parameters.name, candidate, parameters.version or None, workload
        )
    except (RepositoryError, archive.BundleError) as e:
        raise UserError(str(e)) from e
    if parameters.version not in ("", release.version):
        warn(
            f"this very bundle is already released as {release.name} {release.version}; it is not "
            f"released again as {parameters.version}"
        )
    try:
        write_whole(root_json, repository.trust_roots()[-1])
    except RepositoryError as e:
        raise UserError(str(e)) from e
    write_json(outputs["release"] / "release.json", dataclasses.asdict(release))
    return {"new": float(release.new), "bytes": float(candidate.stat().st_size)}


def _demand_gates(folders: list[Path]) -> None:
    failed: list[Gate] = []
    for folder in folders:
        try:
            gates = read_gates(folder)
        except (OSError, ValueError, TypeError) as e:
            raise UserError(
                f"{folder / 'gates.json'}: cannot be read ({e}), and nothing is released without "
                "its gates: run the pipeline again"
            ) from e
        if not gates:
            raise UserError(
                f"{folder / 'gates.json'}: holds no gate, and nothing is released unproven: run "
                "the pipeline again"
            )
        failed += [gate for gate in gates if not gate.passed]
    if failed:
        lines = [
            f"{gate.name}: {gate.value:g}, limit {gate.limit:g}. {gate.advice}".rstrip()
            for gate in failed
        ]
        raise UserError("the bundle is refused, for these gates failed:\n  " + "\n  ".join(lines))


def _check_trust_root(repository: Repository, root_json: Path) -> None:
    """Refuses to publish where devices would be handed another trust root than they have."""
    try:
        present = root_json.read_bytes()
    except FileNotFoundError:
        return
    except OSError as e:
        raise UserError(f"{root_json}: cannot be read ({e.strerror}): make it readable") from e
    if present not in repository.trust_roots():
        raise UserError(
            f"{root_json}: is not a trust root of the repository {repository.folder}: devices that "
            "hold it would refuse this release; name its own repository as Pusher.repository, or "
            "move the file away"
        )
