"""Targets: what runtimes and accelerators take, as data, and the lint that holds models to it."""
