"""StatisticsGen: what the clips are like, split by split and label by label."""
