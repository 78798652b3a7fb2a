"""WordTransfer: teaches a trained keyword model new words from few recordings, without forgetting the old."""
