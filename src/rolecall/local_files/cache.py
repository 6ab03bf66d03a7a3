"""Short-lived secrets kept between processes: role sessions and tokens, each bound to all that it was made for.

An entry is a file of a private folder, or an item of the system's keyring. It holds its whole binding, which is
compared before the entry is used: a name is only where to look. What is broken, foreign, open to others or expired
counts as not there.
"""

from __future__ import annotations

import errno
import json
import time
from binascii import crc32

from rolecall.local_files.private import NotPrivateError, PrivateFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rolecall.local_files.locks import Lock

FORMAT = 1
MAX_ENTRY = 65_536
KEYRING_SERVICE = "rolecall"
# Files of entries that ended long ago, and of locks that nobody asked for since, are removed when one is written.
_STALE_SECONDS = 2 * 86_400


class Entry:
    """What is kept.

    :ivar values: the secret, by name.
    :ivar expires: when it ends, in seconds since 1970.
    """

    __slots__ = ("expires", "values")

    def __init__(self, values: dict[str, str], expires: float) -> None:
        self.values = values
        self.expires = expires

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and (self.values, self.expires) == (other.values, other.expires)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Entry({', '.join(self.values)}, expires={self.expires})"


class Cache:
    """Entries in a folder of the person's own.

    :param folder: its path; made on the first write.
    :param keyring: keep the secrets in the system's keyring instead; the folder then holds the locks only.
    :param say: is told once what a person should know: a folder or file that is not private.
    """

    __slots__ = ("_keyring", "_open", "_path", "_say")

    def __init__(self, folder: str, *, keyring: bool = False, say: Callable[[str], None]) -> None:
        self._path = folder
        self._keyring = keyring
        self._say = say
        self._open: PrivateFolder | None = None

    def get(self, kind: str, binding: Mapping[str, object], *, now: float, margin: float) -> Entry | None:
        """The entry of that kind for exactly this binding that is good for ``margin`` seconds more."""
        text = _binding_text(binding)
        data = self._read(_name(kind, text))
        return None if data is None else _decode(data, kind, text, now + margin)

    def put(self, kind: str, binding: Mapping[str, object], entry: Entry) -> None:
        """Keep an entry. Where that cannot be done it is told, and nothing is kept."""
        text = _binding_text(binding)
        body = {"format": FORMAT, "kind": kind, "binding": text, "expires": entry.expires, "values": entry.values}
        data = json.dumps(body).encode()
        if len(data) <= MAX_ENTRY:
            self._write(_name(kind, text), data)

    def lock(self, kind: str, binding: Mapping[str, object], seconds: float) -> Lock | None:
        """The lock to hold while an entry is made; ``None`` where there is no folder to have it in."""
        from rolecall.local_files.locks import Lock

        folder = self._folder(create=True)
        return None if folder is None else Lock(folder, f"{_name(kind, _binding_text(binding))}.lock", seconds)

    def _folder(self, *, create: bool) -> PrivateFolder | None:
        if self._open is None:
            try:
                self._open = PrivateFolder(self._path, create=create)
            except NotPrivateError as error:
                self._say(f"{error.where}: {error.what}; nothing is kept there. {error.advice}")
            except OSError as error:
                # Not there yet, or a read-only home: both are fine, unless something else has the name.
                if isinstance(error, NotADirectoryError) or error.errno == errno.ELOOP:
                    self._say(f"{self._path}: is a link or not a folder; nothing is kept there")
        return self._open

    def _read(self, name: str) -> bytes | None:
        if self._keyring:
            return _keyring_read(name, self._say)
        folder = self._folder(create=False)
        if folder is None:
            return None
        try:
            return folder.read(name, MAX_ENTRY)
        except NotPrivateError as error:
            self._say(f"{error.where}: {error.what}; it is not used and will be replaced")
        return None

    def _write(self, name: str, data: bytes) -> None:
        if self._keyring:
            _keyring_write(name, data, self._say)
            return
        folder = self._folder(create=True)
        if folder is None:
            return
        try:
            folder.write(name, data)
            for stale in folder.older_than(time.time() - _STALE_SECONDS):
                folder.remove(stale)
        except OSError as error:
            self._say(f"{self._path}: cannot be written: {error.strerror}; the next call starts anew")


def _binding_text(binding: Mapping[str, object]) -> str:
    return json.dumps(binding, sort_keys=True, separators=(",", ":"))


def _name(kind: str, binding: str) -> str:
    """Where to look. Two bindings of one name only take turns: the binding itself is compared."""
    data = binding.encode()
    return f"{kind}-{crc32(data):08x}{crc32(data[::-1]):08x}"


def _decode(data: bytes, kind: str, binding: str, until: float) -> Entry | None:
    try:
        body = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or body.get("format") != FORMAT or body.get("kind") != kind:
        return None
    values, expires = body.get("values"), body.get("expires")
    if body.get("binding") != binding or not isinstance(values, dict):
        return None
    if not isinstance(expires, int | float) or isinstance(expires, bool):
        return None
    if not all(isinstance(key, str) and isinstance(value, str) for key, value in values.items()):
        return None
    return Entry(values, float(expires)) if expires > until else None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no time")


def _keyring_read(name: str, say: Callable[[str], None]) -> bytes | None:
    try:
        import keyring

        found = keyring.get_password(KEYRING_SERVICE, name)
    except Exception as error:
        say(_keyring_trouble(error))
        return None
    return None if found is None else found.encode()[:MAX_ENTRY]


def _keyring_write(name: str, data: bytes, say: Callable[[str], None]) -> None:
    try:
        import keyring

        keyring.set_password(KEYRING_SERVICE, name, data.decode())
    except Exception as error:
        say(_keyring_trouble(error))


def _keyring_trouble(error: Exception) -> str:
    """A keyring's back ends raise what they like; none of it may end a login."""
    if isinstance(error, ImportError):
        return "there is no keyring package; install it: pip install 'rolecall[keyring]'"
    return f"the keyring does not answer ({type(error).__name__}); nothing is kept"
