"""Benchmarks: each prints a table and writes var/bench/NAME.json; run by `make bench-NAME`."""
