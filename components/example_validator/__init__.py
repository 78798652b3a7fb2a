"""ExampleValidator: whether the clips are fit to train and to judge a model."""
