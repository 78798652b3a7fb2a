"""Tuner: searches architectures and widths for the best trades of accuracy against what a device has."""
