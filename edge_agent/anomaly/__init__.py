"""Anomaly detection in streams of sensor rows: detectors, thresholds, alarms. Needs numpy alone."""
