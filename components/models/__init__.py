"""Architectures, a file each, named after their papers; `registry` builds them by name."""
