"""``python -m clicooper`` is the ``clicooper`` command."""

from clicooper.cli.main import run

if __name__ == "__main__":
    run()
