"""``python -m bench`` is ``alexbench``."""

import atexit

from bench.core import signals


def main() -> None:
    """Entry point: signals are handled before the imports of a command, which take a second."""
    signals.install()
    atexit.register(signals.ignore)  # registered first, called last
    from bench.cli.main import main as command  # noqa: PLC0415

    command()


if __name__ == "__main__":
    main()
