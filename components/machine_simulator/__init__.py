"""MachineSimulator: logs of a pump that fails, for a first run without any data."""
