"""``credential_process``: a program of the person's own that prints credentials.

Source: AWS CLI user guide, "Sourcing credentials with an external process"; botocore ``ProcessProvider``. It may take
as long as it likes: it may be asking the person something. Its input is ours; its output is bounded.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence

from rolecall.access_keys import Key
from rolecall.errors import RolecallError
from rolecall.exec_plugin.answers import InvalidAnswerError, key_of, read_answer

MAX_OUTPUT = 65_536
_MAX_ERRORS = 4_096
_NAMES = ("AccessKeyId", "SecretAccessKey", "SessionToken")


def ask_process(command: str, environ: Mapping[str, str]) -> Key:
    """The credentials that a command prints.

    :raises RolecallError: if it fails, or prints something else.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise RolecallError(f"the command cannot be read: {error}") from None
    if not words:
        raise RolecallError("the command is empty")
    code, output, errors = _run(words, environ)
    if code != 0:
        line = " ".join(errors.decode("utf-8", "replace").split())[:300]
        raise RolecallError(f"{words[0]} ended with {code}: {line or 'it printed no reason'}")
    answer = read_answer(output)
    version = answer.get("Version")
    if type(version) is not int or version != 1:
        raise InvalidAnswerError('its answer must have "Version": 1')
    return key_of(answer, _NAMES, time.time())


def _run(words: Sequence[str], environ: Mapping[str, str]) -> tuple[int, bytes, bytes]:
    """Exit code, standard output, and the beginning of standard error."""
    try:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(environ))  # noqa: S603
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise RolecallError(f"{words[0][:200]} cannot be run: {text}") from None
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = process.stdout.fileno(), process.stderr.fileno()
    found: dict[int, bytes] = {output: b"", errors: b""}
    open_ones = [output, errors]
    try:
        while open_ones:
            for one in select.select(open_ones, [], [])[0]:
                part = os.read(one, 16_384)
                if not part:
                    open_ones.remove(one)
                elif one == output or len(found[one]) < _MAX_ERRORS:
                    found[one] += part
            if len(found[output]) > MAX_OUTPUT:
                raise InvalidAnswerError(f"its answer has more than {MAX_OUTPUT} bytes")
        return process.wait(), found[output], found[errors]
    finally:
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
