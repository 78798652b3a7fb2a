"""Recipes: plain Python that wires components. `RECIPES` finds them by name."""
