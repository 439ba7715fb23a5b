"""Runs measurements: which cases are measured, in which order, for how long, and where the records
go."""
