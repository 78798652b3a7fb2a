"""A module for each schema, which leads there from the one before."""
