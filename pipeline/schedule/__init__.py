"""Runs on a schedule: when to run, whether there is anything new, and whom to tell."""
