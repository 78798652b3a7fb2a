"""Recipes, the runner, the lineage store, the report and the command line."""
