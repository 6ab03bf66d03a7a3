"""The command ``rolecall``, also as ``python -m rolecall``."""

from __future__ import annotations


def main() -> None:
    """Run the command line.

    kubectl starts the credential plugin for each command, so it is found before the rest of the program is loaded.
    """
    import sys

    from rolecall.exec_plugin.arguments import command_of

    if command_of(sys.argv[1:]):
        from rolecall.exec_plugin.command import main as get_token

        code = get_token(sys.argv[1:])
        # The answer is out and every file closed; freeing each module one by one is a tenth of the whole run.
        import os

        os._exit(code)
    if sys.argv[1:] in (["--help"], ["-h"]):
        from rolecall.cli.commands import help_text

        sys.stdout.write(help_text("rolecall"))
        return
    from rolecall.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
