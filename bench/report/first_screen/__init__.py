"""The answers on the first screen of a report: findings, their words and small plots."""
