"""The ImageEvaluator component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import BUNDLE, EVALUATION, EXAMPLES, FEATURES, INT8_MODEL, MODEL
from components.base import TENSORFLOW, Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageEvaluatorParameters:
    """Parameters of the ImageEvaluator: the gates' limits, as the Evaluator's.

    Attributes:
        drop_limit: most accuracy that int8 may lose from float: upper 95% bound, 0 to 1.
        agreement_limit: least share of equal decisions of int8 and float.
        release_drop_limit: most accuracy lost from the last release on the same pictures, mean.
        label_floor: least recall of any label on the test list.
        speaker_floor: least accuracy of any group (``_nohash_``) of at least 8 test pictures.
        accuracy_floor: least int8 accuracy on the test list; 0 leaves it out.
        worst: how many of the most confident mistakes are listed.
    """

    drop_limit: float = 0.01
    agreement_limit: float = 0.97
    release_drop_limit: float = 0.02
    label_floor: float = 0.2
    speaker_floor: float = 0.2
    accuracy_floor: float = 0.0
    worst: int = 8


class ImageEvaluator(Component):
    """Measures the int8 model as the device will run it, and decides the gates on its quality."""

    INPUTS = {
        "examples": EXAMPLES,
        "features": FEATURES,
        "int8_model": INT8_MODEL,
        "float_model": MODEL,
        "teacher": MODEL,
    }
    OPTIONAL_INPUTS = {"last_release": BUNDLE}
    OUTPUTS = {"evaluation": EVALUATION}
    PARAMETERS = ImageEvaluatorParameters
    EXECUTOR = "components.image_evaluator.executor:execute"
    PRELOADS = TENSORFLOW
