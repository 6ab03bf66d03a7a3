"""The command ``rolecall``, also as ``python -m rolecall``."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from rolecall.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
