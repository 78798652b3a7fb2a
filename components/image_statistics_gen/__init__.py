"""ImageStatisticsGen: what the pictures are like, split by split and label by label."""
