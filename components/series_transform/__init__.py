"""SeriesTransform: signals become rows of features, and normal rows the windows that networks learn."""
