"""Trainer: a float model from features; the recipe uses it for the teacher and the student."""
