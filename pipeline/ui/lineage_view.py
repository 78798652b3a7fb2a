"""Runs and lineage as tables for people; what they show is in `pipeline.lineage`'s JSON in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipeline.ui.figures import duration, number, size

Json = Mapping[str, Any]

_DIGITS = 12  # of a digest; enough to name it on the command line
_SHOWN = 20  # recordings
_STYLES = {"complete": "green", "cached": "cyan", "failed": "red", "refused": "yellow"}


def runs_table(runs: Sequence[Json]) -> RenderableType:
    """The table of `runs`."""
    if not runs:
        return Text("no runs yet")
    table = _table("run", "recipe", "state", "started (UTC)", "took", "steps", "cached", "release")
    for r in runs:
        table.add_row(
            str(r["run"]),
            escape(r["recipe"]),
            _state(r["state"]),
            r["started"][:16].replace("T", " "),
            _took(r["seconds"]),
            str(r["steps"]),
            str(r["cached"]),
            _release(r["release"]),
        )
    return table


def run_lines(run: Json) -> Iterator[RenderableType]:
    """What `show` prints."""
    yield Text.assemble(
        (f"run {run['run']} of {run['recipe']}", "bold"),
        f"  {run['state']}  {run['started'][:19].replace('T', ' ')} UTC  {_took(run['seconds'])}",
    )
    if run["release"]:
        yield Text(f"released {_release(run['release'])}")
    yield Text(f"{run['recordings']:,} recordings")
    yield _steps(run["executions"])
    for e in run["executions"]:
        yield Text(e["component"], "bold")
        for title in ("parameters", "metrics"):
            if e[title]:
                yield Text(f"  {title}: {_values(e[title])}")
        for name, artifact in e["outputs"].items():
            gone = "  (removed)" if artifact["removed"] else ""
            yield Text(f"  {name}: artifact {artifact['id']}  {artifact['folder']}{gone}")


def difference_lines(difference: Json) -> Iterator[RenderableType]:
    """What `diff` prints."""
    one, two = (f"run {run['run']}" for run in difference["runs"])
    data = difference["data"]
    yield Text("recordings", "bold")
    counts = " → ".join(f"{count:,}" for count in data["recordings"])
    yield Text(f"  {counts}: {len(data['added']):,} added, {len(data['removed']):,} removed")
    for sign, listed in (("-", data["removed"]), ("+", data["added"])):
        for recording in listed[:_SHOWN]:
            yield Text(f"  {sign} {recording['path']}  {recording['digest'][:_DIGITS]}")
        if len(listed) > _SHOWN:
            yield Text(f"  {sign} and {len(listed) - _SHOWN:,} more: --json lists them")
    for title, values, form in (
        ("data from outside", data["inputs"], _digest),
        ("parameters", difference["parameters"], _value),
        ("code", difference["code"], _digest),
        ("packages", difference["environment"], _value),
    ):
        if values:
            table = _table(title, one, two)
            for name, pair in values.items():
                table.add_row(escape(name), *(escape(form(value)) for value in pair))
            yield table
        else:
            yield Text(f"{title}: no difference")
    table = _table("metrics", one, two, "change")
    for name, (first, second) in difference["metrics"].items():
        both = first is not None and second is not None
        change = number(second - first) if both and first != second else ""
        table.add_row(escape(name), _value(first), _value(second), change)
    yield table


def backward_lines(account: Json) -> Iterator[RenderableType]:
    """What `lineage` prints of an artifact."""
    yield _title(account["artifact"])
    for release in account["releases"]:
        yield Text(f"released as {_release(release)}")
    steps = len(account["executions"])
    yield Text(f"made of {account['recordings']:,} recordings by {steps} steps")
    if account["executions"]:
        yield _steps(account["executions"])
    if account["metrics"]:
        table = _table("metric", "value")
        for name, value in account["metrics"].items():
            table.add_row(escape(name), _value(value))
        yield table
    yield Text("--json says all parameters; --recordings lists the recordings", "dim")


def forward_lines(account: Json) -> Iterator[RenderableType]:
    """What `lineage` prints of recordings, and of an artifact with --forward."""
    recordings = account["recordings"]
    for recording in recordings[:_SHOWN]:
        yield Text(
            f"{recording['path']}  label {recording['label']}  speaker {recording['speaker']}  "
            f"{recording['digest'][:_DIGITS]}"
        )
    if len(recordings) > _SHOWN:
        yield Text(f"and {len(recordings) - _SHOWN:,} more: --json lists them")
    kinds = Counter(artifact["type"] for artifact in account["artifacts"])
    there = Counter(a["type"] for a in account["artifacts"] if a["removed"] is None)
    table = _table("held by", "artifacts", "not removed", "of runs")
    for kind, count in kinds.items():
        of = sorted({a["run"] for a in account["artifacts"] if a["type"] == kind and a["run"]})
        table.add_row(kind, str(count), str(there[kind]), _span(of))
    yield table
    if account["releases"]:
        table = _table("release", "version", "bundle")
        for release in account["releases"]:
            digest = _digest(release["digest"])
            table.add_row(escape(release["name"]), escape(release["version"]), digest)
        yield table
    else:
        yield Text("in no release")
    for row in account["retrain"]:
        at = f" at {row['root']}" if row["root"] else ""
        yield Text(
            f"train again: {row['recipe']}{at}, whose newest complete run {row['run']} has them",
            "bold",
        )
    if not account["retrain"]:
        yield Text("the newest complete run of no recipe has them: nothing to train again")


def removal_lines(plan: Json) -> Iterator[RenderableType]:
    """What `gc` prints."""
    table = _table("run", "artifact", "type", "size", "folder")
    for artifact in plan["artifacts"]:
        table.add_row(
            str(artifact["run"]),
            str(artifact["id"]),
            artifact["type"],
            size(artifact["bytes"]),
            escape(artifact["folder"]),
        )
    if plan["artifacts"]:
        yield table
    kept = ", ".join(map(str, plan["kept_runs"])) or "none"
    yield Text(f"{plan['kept']:,} artifacts are needed; runs kept whole: {kept}")
    count = f"{len(plan['artifacts']):,} artifacts, {size(plan['bytes'])}"
    if plan["deleted"]:
        yield Text(f"deleted: {count}", "bold")
    else:
        yield Text(f"would delete: {count}; gc --delete does it", "bold")


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _title(artifact: Json) -> Text:
    gone = "  (its folder was removed)" if artifact["removed"] else ""
    return Text.assemble(
        (f"{artifact['type']}, artifact {artifact['id']}", "bold"),
        f"  {artifact['digest'][:_DIGITS]}\n{artifact['folder']}{gone}",
    )


def _steps(executions: Sequence[Json]) -> Table:
    table = _table("step", "run", "state", "took", "seeds", "code")
    for e in executions:
        table.add_row(
            escape(e["component"]),
            str(e["run"]),
            _state(e["state"]),
            _took(e["seconds"]),
            ", ".join(map(str, e["seeds"].values())),
            _digest(e["code"]),
        )
    return table


def _state(state: str) -> str:
    style = _STYLES.get(state)
    return f"[{style}]{state}[/]" if style else state


def _took(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def _release(release: Json | None) -> str:
    return f"{release['name']} {release['version']}" if release else ""


def _values(values: Json) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return number(value) if isinstance(value, float) else str(value)


def _digest(digest: Any) -> str:
    return "–" if digest is None else str(digest)[:_DIGITS]


def _span(runs: Sequence[int]) -> str:
    return ", ".join(map(str, runs)) if len(runs) < 6 else f"{runs[0]} to {runs[-1]} ({len(runs)})"
