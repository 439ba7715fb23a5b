"""The ``alexbench`` command; a subcommand is a file."""
