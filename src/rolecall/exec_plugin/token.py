"""A token for a cluster: the one kept, or one signed anew with the credentials of the plan."""

from __future__ import annotations

import time

from rolecall.local_files.cache import Entry
from rolecall.tokens import MAX_TOKEN_LENGTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rolecall.exec_plugin.credential_plan import Plan
    from rolecall.exec_plugin.login import Login

# A kept token has to be good for this long, so that what kubectl does with it can start.
MARGIN = 60.0
# What a person has to do something about is said this long before.
ENDING_SOON = 600.0


def get_token(login: Login) -> tuple[str, float]:
    """The token, and until when it is good: its own end or that of the credentials, whichever is first.

    :raises RolecallError: where there are no credentials, or a role is not to be had.
    """
    cache = login.cache
    binding = {**login.binding(len(login.plan.hops)), "cluster": login.cluster}
    found = cache.get("token", binding, now=time.time(), margin=MARGIN) if cache is not None else None
    if found is None or "token" not in found.values:
        found = _mint(login)
        if cache is not None:
            cache.put("token", binding, found)
    _warn(login.plan, found, login.say)
    return found.values["token"], found.expires


def _mint(login: Login) -> Entry:
    from rolecall.exec_plugin.sessions import Sessions
    from rolecall.tokens.presigned import REPORTED_SECONDS, token_text

    key = Sessions(login).key()
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
    return Entry(values, min(ends, key.expires) if key.expires is not None else ends)


def _warn(plan: Plan, found: Entry, say: Callable[[str], None]) -> None:
    length = len(found.values["token"])
    if length > MAX_TOKEN_LENGTH:
        say(
            f"the token has {length} bytes, and authenticators refuse more than {MAX_TOKEN_LENGTH}: the session token "
            "of these credentials is too long (many session tags or policies)"
        )
    # What is made anew without a person is not worth a word.
    source_ends = plan.source.key.expires if plan.source.key is not None else None
    ends = [source_ends] if source_ends is not None else []
    if plan.needs_mfa(len(plan.hops)):
        ends.append(_number(found.values.get("credentials_end", "")))
    if ends and (left := min(ends) - time.time()) < ENDING_SOON:
        what = "a new MFA code is needed then" if source_ends is None else f"get new ones for {plan.source.where}"
        say(f"the credentials end in {max(0.0, left) / 60:.0f} minutes; {what}")


def _number(text: str) -> float:
    """A kept time; far away where there is none, or it is no number (any more)."""
    try:
        return float(text)
    except ValueError:
        return float("inf")
