"""ImageExampleGen: from a folder of pictures to records, split and in shards."""
