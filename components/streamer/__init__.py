"""Streamer: gives a model the form in which a device runs it, on what is new alone where that can be."""
