"""AnomalyTrainer: learns normal rows, and finds what the learned detector is worth."""
