"""A fleet of simulated devices that talk real HTTP to a fleet server, and what must hold of it."""
