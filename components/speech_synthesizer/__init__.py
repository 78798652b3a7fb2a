"""Makes a folder of spoken words where there are no recordings."""
