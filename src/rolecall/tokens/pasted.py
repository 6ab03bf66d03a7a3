"""Find the token in what a person pastes: a header, an ExecCredential, a kubeconfig, wrapped lines. No I/O."""

from __future__ import annotations

import json
import re

from rolecall.errors import RolecallError
from rolecall.tokens import PREFIX

# What is around a token is small; what is longer than this is not looked through.
MAX_PASTED = 65_536
_BODY = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_WRAPPED = re.compile(r"[A-Za-z0-9_\-\s=\"',}\]]*", re.ASCII)
_NOTHING = re.compile(r"[\s\ufeff\u200b\u200e\u200f\u2060]+")


class NoTokenError(RolecallError):
    """A text has no token in it, or more than one."""


def find_token(text: str) -> tuple[str, str]:
    """The token in a text, and what was around it, for a person; empty if the text is the token alone.

    :raises NoTokenError: saying what the text is instead, as far as that can be said. The text is not repeated: it may
        be a secret of another kind.
    """
    if len(text) > MAX_PASTED:
        raise NoTokenError(f"the text has more than {MAX_PASTED} characters")
    bare = _NOTHING.sub(" ", text).strip()
    if bare.startswith(PREFIX) and _BODY.fullmatch(bare, len(PREFIX)):
        return bare, ""
    places = [found.start() for found in re.finditer(re.escape(PREFIX), bare)]
    if not places:
        raise _not_a_token(bare)
    tokens = {_from(bare, place) for place in places}
    if len(tokens) > 1:
        raise NoTokenError("there is more than one token in the text", advice="give one of them")
    return tokens.pop(), _around(bare, places[0])


def _from(bare: str, place: int) -> str:
    """The token that begins at a place. A terminal wraps it: if nothing but a token follows, its parts are joined."""
    rest = bare[place + len(PREFIX) :]
    if _WRAPPED.fullmatch(rest):
        rest = re.sub(r"[^A-Za-z0-9_-]", "", rest, flags=re.ASCII)
    found = _BODY.match(rest)
    return PREFIX + (found[0] if found else "")


def _around(bare: str, place: int) -> str:
    before = bare[:place].lower()
    if '"execcredential"' in bare.lower():
        return "an ExecCredential"
    if before.rstrip().endswith("bearer"):
        return "an Authorization header"
    if before.rstrip().endswith(("token:", '"token":', "token=", 'token: "')):
        return "a line of a kubeconfig"
    if not before.strip("\"'`"):
        return "quotation marks, padding or line breaks"
    return "other text"


def _not_a_token(bare: str) -> NoTokenError:
    what, advice = f"the token does not begin with {PREFIX!r}", "a token is what rolecall token --token-only prints"
    if not bare:
        return NoTokenError(f"there is no token: the text is empty; {what}", advice=advice)
    if re.match(r"(bearer\s+)?[\"']?eyJ", bare, re.IGNORECASE):
        return NoTokenError(
            f"{what}: this is a JSON Web Token, of a service account or of OpenID Connect", advice=advice
        )
    if re.match(r"https?://", bare):
        return NoTokenError(f"{what}: this is a URL", advice=f"a token is {PREFIX!r} and the URL in base64")
    if re.match(r"(AKIA|ASIA)[A-Z0-9]{12,}", bare):
        return NoTokenError(f"{what}: this is an access key id", advice=advice)
    if bare.startswith(("{", "apiVersion:")):
        kind = _kind(bare)
        return NoTokenError(f"{what}: this is {kind} without a token of AWS in it", advice=advice)
    if re.match(r"[\"'(\[<]*k8s-aws-v", bare):
        return NoTokenError(f"{what}: this is a token of another version", advice=advice)
    return NoTokenError(what, advice=advice)


def _kind(bare: str) -> str:
    try:
        found = json.loads(bare)
    except (ValueError, RecursionError):
        return "a document"
    kind = found.get("kind") if isinstance(found, dict) else None
    return kind if isinstance(kind, str) and re.fullmatch(r"[A-Za-z]{1,40}", kind) else "a document"
