"""``python -m bench`` is ``alexbench``."""

from bench.cli import main

main()
