"""Settings in files, and those that come with the project."""
