"""Loops as tutorials and bare scripts write them, which the suite is compared with."""
