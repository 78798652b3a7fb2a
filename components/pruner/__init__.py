"""Pruner: zeroes the smallest weights while training goes on (tfmot)."""
