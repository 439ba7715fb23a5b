"""``python -m bench`` is ``alexbench``."""

from bench.cli.main import main

main()
