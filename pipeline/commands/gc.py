"""``gc``: removes the artifacts that no kept run or release needs."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import Any

from components.base import UserError
from pipeline.commands.recipe_arguments import add_root
from pipeline.commands.store_arguments import add_json, open_recorded

NAME = "gc"
SUMMARY = "remove the artifacts that no kept run or release needs"
DESCRIPTION = """\
Removes the folders of artifacts below the root that nothing needs any more. Without --delete it only says
what would go. What is needed:
  the newest complete runs of each recipe (--keep), and every run after the newest complete one: the
  cache and a resumed run take from these;
  every release, with all that it follows from; --keep-releases limits that to the newest, and leaves of
  older ones the bundle and the verdicts on it;
  all that latest.bundle follows from.
What is known of a removed artifact stays: `lineage` still answers. Recordings and other folders from
outside are never touched, nor is the update repository."""
EXAMPLES = """\
  python -m pipeline gc
      what would go, and how much room that makes
  python -m pipeline gc --keep 5 --keep-releases 3 --delete"""


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    parser.add_argument(
        "--keep",
        type=_at_least_one,
        default=3,
        metavar="N",
        help="newest complete runs of each recipe to keep whole (default: 3)",
    )
    parser.add_argument(
        "--keep-releases",
        type=_at_least_one,
        metavar="N",
        help="newest releases of each name to keep with all that they follow from (default: all)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--delete", action="store_true", help="remove them; nothing brings them back")
    how.add_argument(
        "--dry-run",
        dest="delete",
        action="store_false",
        help="only say what would be removed (the default)",
    )
    add_root(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Says what nobody needs, and removes it with --delete."""
    from rich.console import Console

    from pipeline import root_lock
    from pipeline.lineage.needs import needs, not_needed
    from pipeline.removal import remove, sizes
    from pipeline.ui.lineage_view import removal_lines

    root = Path(arguments.root).absolute()
    if not root.is_dir():
        raise UserError(f"{root}: no such folder: name the --root that recipes were run at")
    with contextlib.closing(open_recorded(arguments)) as store, root_lock.hold(root):
        with store.read() as session:
            needed = needs(session, arguments.keep, arguments.keep_releases, _in_use(root))
            going = not_needed(session, needed, root)
        bytes_, gained = sizes([Path(artifact.uri) for artifact, _ in going])
        if arguments.delete:
            remove(root, store, [(artifact.id, Path(artifact.uri)) for artifact, _ in going])
    plan = {
        "deleted": arguments.delete,
        "artifacts": [
            {"id": a.id, "run": run, "type": a.type, "folder": a.uri, "bytes": count}
            for (a, run), count in zip(going, bytes_, strict=True)
        ],
        "bytes": gained,
        "kept": len(needed.artifacts),
        "kept_runs": sorted(needed.runs),
    }
    if arguments.json:
        print(json.dumps(plan, indent=1, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        for line in removal_lines(plan):
            console.print(line, soft_wrap=True)
    return 0


def _in_use(root: Path) -> list[str]:
    """Digests of the bundles that runs left for people to take."""
    from components.members import digest_of

    bundles = [*root.glob("*.bundle"), *root.glob("*/*.bundle")]
    return [digest_of(path) for path in bundles if path.is_file()]


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value
