"""The steps of the pipeline: one package a step, plus `models` and `targets`."""
