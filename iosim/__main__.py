"""`python -m iosim`: the same as the command `iosim`."""

from iosim.cli import main

if __name__ == "__main__":  # a worker process imports this file, and must not start over
    main()
