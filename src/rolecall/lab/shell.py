"""The shell of ``lab shell``: the person's own, with a prompt that says where it is, and ``rolecall`` on its PATH."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rolecall.local_files.private import write_private

PROMPT = "(rolecall lab) "
# A prompt is set by the shell's own files, so ours is set after them.
_BASH = f"""[ -r ~/.bashrc ] && . ~/.bashrc
PS1='{PROMPT}'"$PS1"
"""
_ZSH = f"""ZDOTDIR=$HOME
[ -r ~/.zshrc ] && . ~/.zshrc
PROMPT='{PROMPT}'"$PROMPT"
"""
_FISH = f"functions -c fish_prompt _rolecall_prompt; function fish_prompt; echo -n '{PROMPT}'; _rolecall_prompt; end"


def interactive_shell(folder: Path, environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The person's shell with the lab's prompt: its command line, and the variables that it needs besides.

    :param folder: the lab's, where the shell's own start files are written.
    :param environ: decides which shell it is (``SHELL``, else ``/bin/sh``).
    """
    shell = environ.get("SHELL") or "/bin/sh"
    name, files = os.path.basename(shell), folder / "shell"
    if name == "bash":
        return [shell, "--rcfile", str(_written(files / "bashrc", _BASH)), "-i"], {}
    if name == "zsh":
        return [shell, "-i"], {"ZDOTDIR": str(_written(files / ".zshrc", _ZSH).parent)}
    if name == "fish":
        return [shell, "-i", "-C", _FISH], {}
    return [shell, "-i"], {"PS1": f"{PROMPT}$ "}


def with_rolecall(path: str) -> str:
    """``PATH`` with the folder of this ``rolecall``: at its end, or in front if another ``rolecall`` would be found.

    At the end, because the folder of a virtual environment has a ``python`` of its own as well.
    """
    own = Path(sys.executable).parent / "rolecall"
    if not own.is_file():
        return path
    found = shutil.which("rolecall", path=path)
    if found is None:
        return os.pathsep.join(filter(None, (path, str(own.parent))))
    return path if os.path.samefile(found, own) else os.pathsep.join((str(own.parent), path))


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(path, text)
    return path
