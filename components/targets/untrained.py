"""The lint before training, so that no hour is spent on a model that a device refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from components.base import UserError, warn
from components.targets.flatbuffer import parse_graph
from components.targets.lint import lint
from components.targets.profile import load_profile

if TYPE_CHECKING:
    import tf_keras

_ROWS = 4


def lint_untrained(model: tf_keras.Model, targets: Sequence[str]) -> None:
    """Converts the untrained `model`, calibrated with random codes, and lints it for `targets`.

    Runs TensorFlow: call it in the process that trains. Warnings are shown, errors raised.

    Raises:
        UserError: listing every operator that a target refuses, and what to take instead.
    """
    from components.converter.convert import to_int8

    profiles = [load_profile(name) for name in targets]
    random = np.random.default_rng(0)
    codes = random.integers(-128, 128, (_ROWS, *model.input_shape[1:])).astype(np.int8)
    graph = parse_graph(to_int8(model, codes))
    refusals = []
    for profile in profiles:
        for finding in lint(graph, profile)["findings"]:
            advice = f": {finding['advice']}" if finding["advice"] else ""
            line = f"{profile.name}: {finding['what']}{advice}"
            if finding["severity"] == "error":
                refusals.append(line)
            elif finding["what"] != profile.caveat:
                warn(line)
    if refusals:
        raise UserError(
            "the architecture does not run on every declared target, so it is not trained:\n  "
            + "\n  ".join(refusals)
        )
