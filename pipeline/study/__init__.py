"""The study: every technique of compression beside the others, within a budget of time."""
