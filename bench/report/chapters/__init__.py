"""The tables of a report, a file each: rows, columns, plots, title and how to read it."""
