"""`python -m refglow`: the command line."""

from refglow.cli.main import main

if __name__ == "__main__":
    main()
