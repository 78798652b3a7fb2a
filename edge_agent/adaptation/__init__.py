"""Learning on the device: a personal word, or a known word by another speaker, from a few recordings."""
