"""ExampleGen: from a folder of recordings to clips of one form, split and in shards."""
