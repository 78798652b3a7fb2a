"""SeriesExampleGen: logs of machines, tables or signals, become arrays with their labels."""
