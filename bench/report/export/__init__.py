"""Records and tables in the formats of other programs."""
