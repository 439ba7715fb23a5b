"""What a reader sees of records: tables, plots, one HTML page, the README's figures."""
