"""Loops as tutorials and bare scripts write them, to compare the suite with."""
