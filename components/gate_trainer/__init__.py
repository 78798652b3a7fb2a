"""GateTrainer: a small model that runs at every hop, and opens for the classifier."""
