"""A module a schema: how to get there from the one before."""
