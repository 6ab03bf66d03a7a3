"""Carry out a plan of credentials: from the source through each role, each session made once and then kept.

The source is asked first: a process is run, a container or the machine is asked, the file of a sign-in is looked at.
Only then is anything used that was kept over it, and only if it was kept over the same credentials or the same sign-in.

Processes that need the same session at once wait for the first of them: one call to STS, one question for a code. Its
failure is theirs too.
"""

from __future__ import annotations

from rolecall.access_keys import Key
from rolecall.errors import RolecallError
from rolecall.exec_plugin.asked_source import AskedSource, keep, read_kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rolecall.exec_plugin.credential_plan import Hop
    from rolecall.exec_plugin.login import Login
    from rolecall.exec_plugin.sts import Sts
    from rolecall.local_files.cache import Cache
    from rolecall.local_files.locks import Lock

# A role's session lasts twelve hours at most (STS API reference, AssumeRole, ``DurationSeconds``), by the clock of STS,
# which may be a quarter of an hour from this one.
LONGEST_SESSION = 43_200.0 + 900.0
# How long to wait for a process that makes the session: as long as it may take at worst.
WAIT_SECONDS = 60.0
WAIT_FOR_CODE_SECONDS = 180.0
_CODE_ATTEMPTS = 3
_WRONG_CODE = "invalid MFA one time pass code"


class Sessions:
    """Gives the credentials of a login's plan."""

    __slots__ = ("_login", "_plan", "_source", "_sts")

    def __init__(self, login: Login) -> None:
        self._login = login
        self._plan = login.plan
        self._source = AskedSource(login)
        self._sts: Sts | None = None
        if self._plan.hops:
            from rolecall.exec_plugin.role_arns import check_role_arn

            for hop in self._plan.hops:
                check_role_arn(hop.role_arn, hop.where)

    def key(self) -> Key:
        """What signs the token.

        :raises RolecallError: saying which step failed.
        """
        return self._after(len(self._plan.hops))

    def binding(self, hops: int) -> dict[str, object]:
        """What the credentials after so many roles depend on, the answer of the source included."""
        return {**self._login.binding(hops), "identity": self._source.identity()}

    def _after(self, hops: int) -> Key:
        """The credentials after so many roles."""
        cache = self._login.cache
        if hops == 0:
            return self._source.key()
        return self._assume(hops) if cache is None else self._kept(cache, hops)

    def _kept(self, cache: Cache, hops: int) -> Key:
        binding = self.binding(hops)
        if found := read_kept(cache, binding, LONGEST_SESSION):
            return found
        mfa = self._plan.needs_mfa(hops)
        lock = cache.lock("session", binding, WAIT_FOR_CODE_SECONDS if mfa else WAIT_SECONDS)
        if lock is None:
            return self._assume(hops)
        with lock as got:
            if found := read_kept(cache, binding, LONGEST_SESSION):
                return found
            if not got and mfa:
                raise RolecallError(
                    "another process waits for the MFA code of this session",
                    where=self._plan.hops[hops - 1].where,
                    advice="type the code there; then try again",
                )
            return self._make(cache, lock, hops)

    def _make(self, cache: Cache, lock: Lock, hops: int) -> Key:
        if text := lock.failure():
            raise RolecallError(text)
        try:
            key = self._assume(hops)
        except RolecallError as error:
            lock.leave_failure(str(error))
            raise
        except KeyboardInterrupt:
            lock.leave_failure("it was interrupted")
            raise
        keep(cache, self.binding(hops), key)
        return key

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
                self._login.say("STS does not accept this code; each code is valid once, so wait for the next one")
        raise AssertionError("unreachable: the last attempt answers or raises")

    def _forwarded(self, sts: Sts, before: Key) -> str:
        """The session name of the caller; a user's own name, if it is a user."""
        from rolecall.exec_plugin.session_name import sanitise

        arn, user_id = sts.caller(before)
        return sanitise(user_id.partition(":")[2] or arn.rpartition("/")[2])

    def _step(self, hops: int) -> str:
        hop = self._plan.hops[hops - 1]
        return f"{hop.where}: role {hop.role_arn} (step {hops} of {len(self._plan.hops)})"
