"""Architectures, a file each, named after their papers; `registry` finds them by name."""
