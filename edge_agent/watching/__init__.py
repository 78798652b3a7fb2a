"""Watching rows for anomalies: a bundle, a source of rows, and what is said about them."""
