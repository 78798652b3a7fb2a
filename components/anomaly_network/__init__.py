"""AnomalyNetworkTrainer: a network learns to give normal windows back, or to foretell the next row."""
