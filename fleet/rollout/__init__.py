"""Rollouts: which devices get a release when, and what stops it. Pure: no clock, no database, no network."""
