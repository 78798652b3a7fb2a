"""Which trained model ``--base`` means, for recipes that go on from one."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

from components.base import UserError


def base_model(arguments: argparse.Namespace, recipe: ModuleType) -> Path | None:
    """The folder of the Model artifact; None if nothing is named and there is none at the root.

    ``--base`` is such a folder, or a root: there it is the newest model that the component
    ``recipe.BASE_COMPONENT`` of ``recipe.BASE_RECIPE`` made.

    Raises:
        UserError: if the place that is named has none.
    """
    place = Path(arguments.base or arguments.root).absolute()
    if (place / "model.h5").is_file():
        return place
    found = _newest(arguments, place, recipe)
    if found is None and arguments.base is not None:
        raise UserError(
            f"--base {arguments.base}: neither the folder of a trained model (model.h5, model.json) nor a "
            f"root at which {recipe.BASE_RECIPE} has run"
        )
    return found


def _newest(arguments: argparse.Namespace, root: Path, recipe: ModuleType) -> Path | None:
    from pipeline.commands.store_arguments import open_store
    from pipeline.lineage.store import DATABASE

    if arguments.lineage is None and not (root / DATABASE).is_file():
        return None
    store = open_store(argparse.Namespace(root=root, lineage=arguments.lineage))
    try:
        past = store.latest_execution(recipe.BASE_RECIPE, recipe.BASE_COMPONENT)
    finally:
        store.close()
    model = None if past is None else past.outputs.get("model")
    return model.folder if model is not None and model.folder.is_dir() else None
