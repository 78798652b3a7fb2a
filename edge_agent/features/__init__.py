"""Features: what a model is fed, computed by one code in training and on the device."""
