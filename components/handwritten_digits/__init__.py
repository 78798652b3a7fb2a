"""HandwrittenDigits: real pictures for a first run without any data."""
