"""Pure statistics: estimates, intervals, differences, survival; no files, no state, no
framework."""
