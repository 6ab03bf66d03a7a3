"""The source of a login: asked once in a run, before anything is used that was kept over it."""

from __future__ import annotations

import time

from rolecall.access_keys import Key
from rolecall.errors import RolecallError
from rolecall.exec_plugin.credential_plan import check_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rolecall.exec_plugin.login import Login
    from rolecall.local_files.cache import Cache

# Kept credentials that end sooner are not used.
MARGIN = 60.0
_SIGNED_IN = ("sso", "web-identity")


class AskedSource:
    """Whose credentials a source gives now.

    :raises RolecallError: if the profile lacks a setting, so that asking makes no sense.
    """

    __slots__ = ("_key", "_login", "_source")

    def __init__(self, login: Login) -> None:
        self._login = login
        self._source = login.plan.source
        self._key: Key | None = None
        check_source(self._source)

    def identity(self) -> dict[str, object]:
        """Who the source gives credentials of: part of what everything kept over it is bound to.

        :raises RolecallError: if the source gives nothing.
        """
        if self._source.key is not None:
            return {}
        if proof := self._proof():
            return {"sign-in": proof}
        key = self.key()
        # A sign-in that was renewed has its proof now.
        proof = self._proof()
        return {"sign-in": proof} if proof else {"key": key.access_key_id}

    def key(self) -> Key:
        """The credentials of the source.

        :raises RolecallError: if it gives none, or they have expired.
        """
        if self._key is None:
            self._key = self._kept() or self._ask()
        return self._key

    def _proof(self) -> str:
        if self._source.kind not in _SIGNED_IN:
            return ""
        from rolecall.exec_plugin.signed_in import proof_of_sign_in

        return proof_of_sign_in(self._source, self._login.environ, time.time())

    def _kept(self) -> Key | None:
        """With ``--cache``: what the source gave before, until that ends; the sign-in must still be the same."""
        login = self._login
        if login.cache is None or not login.keep_source or self._source.key is not None:
            return None
        # What a process gives lasts as long as it says.
        return read_kept(login.cache, self._binding(), float("inf"))

    def _binding(self) -> dict[str, object]:
        return {**self._login.binding(0), "sign-in": self._proof()}

    def _ask(self) -> Key:
        source, login = self._source, self._login
        if source.key is not None:
            if source.key.expires is not None and source.key.expires <= time.time():
                raise RolecallError("these credentials have expired", where=source.where, advice="get new ones")
            return source.key
        from rolecall.exec_plugin.sources import ask

        key = ask(source, login.settings, login.environ)
        if login.cache is not None and login.keep_source:
            keep(login.cache, self._binding(), key)
        return key


def read_kept(cache: Cache, binding: dict[str, object], longest: float) -> Key | None:
    """Credentials that are kept for this binding; ``longest``: how many seconds such credentials can last."""
    entry = cache.get("session", binding, now=time.time(), margin=MARGIN, longest=longest)
    if entry is None or not entry.values.get("access_key_id") or not entry.values.get("secret_access_key"):
        return None
    values = entry.values
    return Key(values["access_key_id"], values["secret_access_key"], values.get("session_token"), entry.expires)


def keep(cache: Cache, binding: dict[str, object], key: Key) -> None:
    """Keep credentials that end; a long-term key is never kept."""
    if key.expires is None:
        return
    values = {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}
    if key.session_token:
        values["session_token"] = key.session_token
    from rolecall.local_files.cache import Entry

    cache.put("session", binding, Entry(values, key.expires), now=time.time())
