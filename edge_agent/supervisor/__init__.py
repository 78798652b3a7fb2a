"""The daemon: one process a workload, one for updates, and what keeps them going."""
