"""The policy must not look further than the features reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.base import UserError
from components.evaluator.component import EvaluatorParameters
from components.evaluator.executor import execute
from tests.fixtures.features import write_features


def test_smoothing_beyond_the_margin_is_refused_before_anything_is_scored(tmp_path: Path):
    features = write_features(tmp_path)
    parameters = EvaluatorParameters(hop_frames=50, smoothing=5)
    with pytest.raises(UserError, match=r"Transform\.margin_frames=100"):
        execute({"features": features.folder}, {}, parameters)
