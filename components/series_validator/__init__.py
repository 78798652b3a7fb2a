"""SeriesValidator: what is wrong with the rows of logs, and what has drifted."""
