"""The bundle: what a device gets. `manifest` says what is in it, `archive` reads and writes it."""
