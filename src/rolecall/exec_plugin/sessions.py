"""Carry out a plan of credentials: from the source through each role, each session made once and then kept.

Processes that need the same session at once wait for the first of them: one call to STS, one question for a code. Its
failure is theirs too.
"""

from __future__ import annotations

import time

from rolecall.errors import RolecallError
from rolecall.exec_plugin.credential_plan import Key
from rolecall.local_files.cache import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rolecall.exec_plugin.credential_plan import Hop
    from rolecall.exec_plugin.login import Login
    from rolecall.exec_plugin.sts import Sts
    from rolecall.local_files.cache import Cache
    from rolecall.local_files.locks import Lock

# A session that ends sooner is made anew.
MARGIN = 60.0
# How long to wait for a process that makes the session: as long as it may take at worst.
WAIT_SECONDS = 60.0
WAIT_FOR_CODE_SECONDS = 180.0
_CODE_ATTEMPTS = 3
_WRONG_CODE = "invalid MFA one time pass code"


class Sessions:
    """Gives the credentials of a login's plan."""

    __slots__ = ("_login", "_plan", "_sts")

    def __init__(self, login: Login) -> None:
        self._login = login
        self._plan = login.plan
        self._sts: Sts | None = None

    def key(self) -> Key:
        """What signs the token.

        :raises RolecallError: saying which step failed.
        """
        return self._after(len(self._plan.hops))

    def _after(self, hops: int) -> Key:
        """The credentials after so many roles."""
        if hops == 0 and (self._plan.source.key is not None or not self._login.keep_source):
            return self._source()
        make = self._source if hops == 0 else lambda: self._assume(hops)
        return make() if self._login.cache is None else self._kept(self._login.cache, hops, make)

    def _kept(self, cache: Cache, hops: int, make: Callable[[], Key]) -> Key:
        binding = self._login.binding(hops)
        if found := _read(cache, binding):
            return found
        mfa = self._plan.needs_mfa(hops)
        lock = cache.lock("session", binding, WAIT_FOR_CODE_SECONDS if mfa else WAIT_SECONDS)
        if lock is None:
            return make()
        with lock as got:
            if found := _read(cache, binding):
                return found
            if not got and mfa:
                raise RolecallError(
                    "another process waits for the MFA code of this session",
                    where=self._plan.hops[hops - 1].where,
                    advice="type the code there; then try again",
                )
            return self._make(cache, lock, binding, make)

    def _make(self, cache: Cache, lock: Lock, binding: dict[str, object], make: Callable[[], Key]) -> Key:
        if text := lock.failure():
            raise RolecallError(text)
        try:
            key = make()
        except RolecallError as error:
            lock.leave_failure(str(error))
            raise
        except KeyboardInterrupt:
            lock.leave_failure("it was interrupted")
            raise
        if key.expires is not None:
            values = {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}
            if key.session_token:
                values["session_token"] = key.session_token
            cache.put("session", binding, Entry(values, key.expires))
        return key

    def _source(self) -> Key:
        source = self._plan.source
        if source.key is not None:
            if source.key.expires is not None and source.key.expires <= time.time():
                raise RolecallError("these credentials have ended", where=source.where, advice="get new ones")
            return source.key
        from rolecall.exec_plugin.botocore_credentials import fetch

        return fetch(source, self._login.settings)

    def _assume(self, hops: int) -> Key:
        from rolecall.exec_plugin.sts import Sts, StsError

        before = self._after(hops - 1)
        hop = self._plan.hops[hops - 1]
        if self._sts is None:
            self._sts = Sts(self._login.settings, self._login.environ)
        try:
            key = self._ask(self._sts, hop, before)
        except StsError as error:
            raise StsError(error.code, error.what, where=self._step(hops), advice=error.advice) from None
        if trouble := self._sts.clock_trouble():
            self._login.say(trouble)
        return key

    def _ask(self, sts: Sts, hop: Hop, before: Key) -> Key:
        from rolecall.exec_plugin.sts import StsError

        name = hop.session_name or self._forwarded(sts, before)
        if hop.mfa_serial is None:
            return sts.assume_role(hop, name, before, None)
        from rolecall.exec_plugin.mfa import ask_code

        for attempt in range(1, _CODE_ATTEMPTS + 1):
            try:
                return sts.assume_role(hop, name, before, ask_code(hop.mfa_serial))
            except StsError as error:
                if _WRONG_CODE not in error.what or attempt == _CODE_ATTEMPTS:
                    raise
                self._login.say("STS does not accept this code; each code is good once, so wait for the next one")
        raise AssertionError("unreachable: the last attempt answers or raises")

    def _forwarded(self, sts: Sts, before: Key) -> str:
        """The session name of whoever assumes the role; a user's own name, where it is a user."""
        from rolecall.exec_plugin.session_name import sanitise

        arn, user_id = sts.caller(before)
        return sanitise(user_id.partition(":")[2] or arn.rpartition("/")[2])

    def _step(self, hops: int) -> str:
        hop = self._plan.hops[hops - 1]
        return f"{hop.where}: role {hop.role_arn} (step {hops} of {len(self._plan.hops)})"


def _read(cache: Cache, binding: dict[str, object]) -> Key | None:
    entry = cache.get("session", binding, now=time.time(), margin=MARGIN)
    if entry is None or not entry.values.get("access_key_id") or not entry.values.get("secret_access_key"):
        return None
    values = entry.values
    return Key(values["access_key_id"], values["secret_access_key"], values.get("session_token"), entry.expires)
