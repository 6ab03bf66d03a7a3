"""A token for a cluster: the one that is kept, or a new one signed with the credentials of the plan."""

from __future__ import annotations

import time

from rolecall.tokens import MAX_TOKEN_LENGTH, PREFIX, REPORTED_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rolecall.access_keys import Key
    from rolecall.exec_plugin.credential_plan import Plan
    from rolecall.exec_plugin.login import Login
    from rolecall.exec_plugin.sessions import Sessions
    from rolecall.local_files.cache import Cache, Entry

# A kept token has to be valid for this long, so that what kubectl does with it can start.
MARGIN = 60.0
# What a person has to do something about is said this long before.
ENDING_SOON = 600.0
_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def get_token(login: Login) -> tuple[str, float]:
    """The token, and until when it is valid: its own end or that of the credentials, whichever is first.

    :raises RolecallError: if there are no credentials, or a role cannot be assumed.
    """
    cache, sessions = login.cache, None
    # A key that is written down is known without asking; any other source is asked before what is kept is used.
    if cache is not None and login.plan.source.key is None:
        sessions = _sessions(login)
    found = _find(cache, _binding(login, sessions)) if cache is not None else None
    if found is None:
        sessions = sessions or _sessions(login)
        values, expires = _mint(login, sessions.key())
        if cache is not None:
            from rolecall.local_files.cache import Entry

            # Asked again: a sign-in may have been renewed meanwhile.
            cache.put("token", _binding(login, sessions), Entry(values, expires), now=time.time())
    else:
        values, expires = found.values, found.expires
    _warn(login.plan, values, login.say)
    return values["token"], expires


def _sessions(login: Login) -> Sessions:
    from rolecall.exec_plugin.sessions import Sessions

    return Sessions(login)


def _binding(login: Login, sessions: Sessions | None) -> dict[str, object]:
    hops = len(login.plan.hops)
    asked = login.plan.source.key is None and sessions is not None
    return {**(sessions.binding(hops) if asked and sessions else login.binding(hops)), "cluster": login.cluster}


def _find(cache: Cache, binding: dict[str, object]) -> Entry | None:
    found = cache.get("token", binding, now=time.time(), margin=MARGIN, longest=REPORTED_SECONDS)
    return found if found is not None and _is_token(found.values.get("token", "")) else None


def _is_token(text: str) -> bool:
    """Whether a kept text can stand in an answer as it is."""
    return text.startswith(PREFIX) and _CHARACTERS.issuperset(text)


def _mint(login: Login, key: Key) -> tuple[dict[str, str], float]:
    """The token, when its credentials end if that is known, and when it ends itself."""
    from rolecall.tokens.presigned import token_text

    now = time.time()
    text = token_text(
        (key.access_key_id, key.secret_access_key, key.session_token),
        login.cluster,
        region=login.settings.region,
        timestamp=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)),
        endpoint=login.settings.endpoint,
    )
    # The signature carries whole seconds.
    ends = int(now) + REPORTED_SECONDS
    values = {"token": text}
    if key.expires is not None:
        values["credentials_end"] = str(key.expires)
    return values, min(ends, key.expires) if key.expires is not None else ends


def _warn(plan: Plan, found: dict[str, str], say: Callable[[str], None]) -> None:
    length = len(found["token"])
    if length > MAX_TOKEN_LENGTH:
        say(
            f"the token has {length} bytes, and authenticators refuse more than {MAX_TOKEN_LENGTH}: the session token "
            "of these credentials is too long (many session tags or policies)"
        )
    # What is made again without a person is not worth a word.
    source_ends = plan.source.key.expires if plan.source.key is not None else None
    ends = [source_ends] if source_ends is not None else []
    if plan.needs_mfa(len(plan.hops)):
        ends.append(_number(found.get("credentials_end", "")))
    if ends and (left := min(ends) - time.time()) < ENDING_SOON:
        what = "a new MFA code is needed then" if source_ends is None else f"get new ones for {plan.source.where}"
        say(f"the credentials end in {max(0.0, left) / 60:.0f} minutes; {what}")


def _number(text: str) -> float:
    """A kept time; far away if there is none, or it is not a number (any more)."""
    try:
        return float(text)
    except ValueError:
        return float("inf")
