"""The agent on the device, and the device's contract: features, bundles, decisions.

This package installs and runs with its own few dependencies alone. Training uses the same code for
everything that decides what a model sees and what its outputs mean.
"""

__version__ = "0.1.0"
