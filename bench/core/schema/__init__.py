"""The schema of records: their fields, their metrics and the shapes of both."""
