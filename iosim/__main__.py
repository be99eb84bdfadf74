"""`python -m iosim` and the command `iosim`: the command line, from its first import on."""

import sys


def main() -> None:
    """Run the command line; a Ctrl-C while it is still being imported ends it quietly."""
    try:
        from iosim.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
