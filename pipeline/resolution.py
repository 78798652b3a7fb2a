"""Before a step runs: what it takes, the key that follows, and whether that was made before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.base import PREVIOUS, Channel, Component, UserError
from pipeline import keys
from pipeline.code_digest import Code, CodeDigests
from pipeline.digests import DigestMemory, artifact_digest
from pipeline.lineage.past import Taken
from pipeline.lineage.store import (
    CachedArtifact,
    CachedExecution,
    LineageStore,
    PastExecution,
)
from pipeline.memory import MEMORY
from pipeline.recipe import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What the cache has for a key.

    Attributes:
        execution: the earlier execution whose outputs can be taken, if there is one.
        damaged: why the newest one's cannot, if there is one but they cannot.
    """

    execution: CachedExecution | None = None
    damaged: str = ""


class Resolution:
    """Looks things up for the steps of one run of `recipe`; each outside folder is read once."""

    def __init__(self, recipe: Recipe, root: Path, store: LineageStore) -> None:
        self._recipe = recipe
        self._store = store
        self._digests = DigestMemory(root / MEMORY)
        self._code = CodeDigests(root / MEMORY / "code")
        self._outside: dict[Path, CachedArtifact] = {}
        self._sound: set[Path] = set()

    def inputs(
        self, component: Component, made: Mapping[str, CachedArtifact]
    ) -> dict[str, CachedArtifact]:
        """What `component` takes, by input name.

        Args:
            component: whose producers have all run.
            made: the artifacts of the run so far, by ``ComponentId.output``.
        """
        inputs: dict[str, CachedArtifact] = {}
        looking_back: dict[str, Channel] = {}
        for name, channel in component.inputs.items():
            if channel.history is not None:
                looking_back[name] = channel
            elif channel.path is not None:
                inputs[name] = self._from_outside(channel, channel.path)
            else:
                inputs[name] = made[f"{channel.producer}.{channel.output}"]
        for name, channel in looking_back.items():
            earlier = self._earlier(component, channel, inputs)
            if earlier is not None:
                inputs[name] = earlier
        return inputs

    def code(self, component: Component) -> Code:
        """The code of `component`."""
        return self._code.of(component)

    def code_changes(self, component: Component, past: PastExecution | None) -> list[str]:
        """Which files of the code of `component` differ from those of `past`, ``code: FILE`` each."""
        if past is None or past.key_parts.get("code") == self.code(component).digest:
            return []
        now = self.code(component).files
        before = self._code.files_of(str(past.key_parts.get("code")))
        if before is None:
            return ["code: changed"]
        names = before.keys() | now.keys()
        return [f"code: {name}" for name in sorted(names) if before.get(name) != now.get(name)]

    def key_parts(
        self, component: Component, inputs: Mapping[str, CachedArtifact]
    ) -> dict[str, Any]:
        """What decides the outputs of `component` on `inputs`; see `pipeline.keys`."""
        digests = {name: artifact.digest for name, artifact in inputs.items()}
        return keys.key_parts(component, digests, self.code(component).digest)

    def cached(self, component: Component, key: str) -> Found:
        """What an earlier execution with this key made, if all of it is there as it was recorded."""
        execution = self._store.find_cached(key)
        if execution is None:
            return Found()
        for artifact in execution.outputs.values():
            if not artifact.folder.is_dir():
                return Found(damaged=f"{artifact.folder} was removed")
            if self._digests.artifact_digest(artifact.folder) != artifact.digest:
                return Found(damaged=f"{artifact.folder} is not what it was when it was made")
        folders = {name: artifact.folder for name, artifact in execution.outputs.items()}
        if not component.stands(folders):
            return Found(damaged=f"what {component.id} did then no longer stands")
        return Found(execution=execution)

    def previous(self, component: Component, parts: Mapping[str, Any]) -> CachedArtifact | None:
        """The earlier artifact that `component` may reuse (see `Component.REUSES`)."""
        if not component.REUSES:
            return None
        past = self._store.latest_execution(self._recipe.name, component.id)
        if past is None or {**past.key_parts, "inputs": {}} != {**parts, "inputs": {}}:
            return None
        artifact = past.outputs.get(component.REUSES)
        return artifact if artifact is not None and self.is_sound(artifact) else None

    def is_sound(self, artifact: CachedArtifact) -> bool:
        """Whether the artifact, of which every byte is read once a run, is what was recorded."""
        if artifact.folder not in self._sound:
            if not artifact.folder.is_dir() or artifact_digest(artifact.folder) != artifact.digest:
                return False
            self._sound.add(artifact.folder)
        return True

    def made(self, artifact: CachedArtifact) -> None:
        """Notes that this run has just made `artifact`."""
        self._sound.add(artifact.folder)

    def check_outside(self, component: Component) -> None:
        """Sees whether the outside folders that `component` has read are still as they were.

        Raises:
            UserError: if files came or changed while it read.
        """
        for channel in component.inputs.values():
            if channel.path is None:
                continue
            if self._digests.folder_digest(channel.path) != self._outside[channel.path].digest:
                raise UserError(
                    f"{channel.path}: files came or changed while {component.id} read them: run "
                    "again once the folder is at rest"
                )

    def save(self) -> None:
        """Remembers what the next run need not read again."""
        self._code.save()

    def _from_outside(self, channel: Channel, folder: Path) -> CachedArtifact:
        if folder not in self._outside:
            digest = self._digests.folder_digest(folder)
            id_ = self._store.add_external(channel.type.name, folder, digest)
            self._outside[folder] = CachedArtifact(
                id=id_, type=channel.type.name, folder=folder, digest=digest
            )
        return self._outside[folder]

    def _earlier(
        self, component: Component, channel: Channel, inputs: Mapping[str, CachedArtifact]
    ) -> CachedArtifact | None:
        history = channel.history
        assert history is not None
        current = inputs[history.differs]
        taken = Taken(component=component.id, input=history.differs, digest=current.digest)
        earlier = self._store.latest_output(
            self._recipe.name, channel.type.name, history.source, taken
        )
        if earlier and self._digests.artifact_digest(earlier.folder) != earlier.digest:
            raise UserError(
                f"{earlier.folder}: is not what it was when it was made, and {component.id} holds "
                "its result against it: put it back from a copy, or remove the folder to look "
                "back at the run before"
            )
        return earlier


def recorded_inputs(
    inputs: Mapping[str, CachedArtifact], previous: CachedArtifact | None
) -> dict[str, int]:
    """The ids of what an execution takes, as the lineage store records them."""
    ids = {name: artifact.id for name, artifact in inputs.items()}
    return ids if previous is None else {**ids, PREVIOUS: previous.id}
