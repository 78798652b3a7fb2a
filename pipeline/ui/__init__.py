"""What a person sees while a recipe runs, and the table at its end."""

from pipeline.ui.run_view import RunView
from pipeline.ui.summary import SummaryExtras

__all__ = ["RunView", "SummaryExtras"]
