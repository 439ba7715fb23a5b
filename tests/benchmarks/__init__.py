"""Costs of the suite itself, run by hand: no part of the tests."""
