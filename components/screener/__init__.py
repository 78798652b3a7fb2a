"""Screener: how good an int8 model is, in seconds, for comparing many."""
