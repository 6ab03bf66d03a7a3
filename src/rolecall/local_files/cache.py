"""Short-lived secrets kept between processes: role sessions and tokens, each bound to all that it was made for.

An entry is a file of a private folder, or an item of the system's keyring. It holds its whole binding, which is
compared before the entry is used: a name is only where to look. An entry that is broken, of somebody else, open to
others, expired, or made at a time that is still to come counts as not there.

An entry is lines of text: the format, the kind, the binding, when it was made, when it ends, then name and value in
turn. (JSON would bring in ``re``, which costs half as much as a bare interpreter.)
"""

from __future__ import annotations

import errno
import time
from binascii import crc32

from rolecall.local_files.private import NotPrivateError, PrivateFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rolecall.local_files.locks import Lock

FORMAT = "rolecall 2"
MAX_ENTRY = 65_536
KEYRING_SERVICE = "rolecall"
# Files of entries that ended long ago, and of locks that were not used since, are removed when one is written.
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
    :param say: gets what a person should know, each sentence once: a folder or file that is not private.
    """

    __slots__ = ("_keyring", "_open", "_path", "_said", "_sentences")

    def __init__(self, folder: str, *, keyring: bool = False, say: Callable[[str], None]) -> None:
        self._path = folder
        self._keyring = keyring
        self._said = say
        self._sentences: set[str] = set()
        self._open: PrivateFolder | None = None

    def get(
        self, kind: str, binding: Mapping[str, object], *, now: float, margin: float, longest: float
    ) -> Entry | None:
        """The entry of that kind for exactly this binding that is valid for ``margin`` seconds more.

        :param now: seconds since 1970.
        :param longest: how many seconds an entry of that kind can be valid. One that would last longer from now on
            was made while the clock was ahead, and is not used.
        """
        text = _binding_text(binding)
        data = self._read(_name(kind, text))
        return None if data is None else _decode(data, (kind, text), now, now + margin, now + longest)

    def put(self, kind: str, binding: Mapping[str, object], entry: Entry, *, now: float) -> None:
        """Keep an entry that is made ``now``. If that is not possible, it is said and nothing is kept."""
        text = _binding_text(binding)
        lines = [FORMAT, kind, text, repr(float(now)), repr(float(entry.expires))]
        for name, value in entry.values.items():
            lines += [_escape(name), _escape(value)]
        data = "\n".join(lines).encode()
        if len(data) <= MAX_ENTRY:
            self._write(_name(kind, text), data)

    def lock(self, kind: str, binding: Mapping[str, object], seconds: float) -> Lock | None:
        """The lock to hold while an entry is made; ``None`` if there is no folder to have it in."""
        from rolecall.local_files.locks import Lock

        folder = self._folder(create=True)
        return None if folder is None else Lock(folder, f"{_name(kind, _binding_text(binding))}.lock", seconds)

    def _say(self, text: str) -> None:
        if text not in self._sentences:
            self._sentences.add(text)
            self._said(text)

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
            self._say(f"{self._path}: cannot be written: {error.strerror}; nothing is kept")


def _binding_text(binding: object) -> str:
    """A text that is the same for equal bindings and for no others; always one line."""
    return repr(_in_order(binding))


def _in_order(value: object) -> object:
    if isinstance(value, dict):
        return tuple([(key, _in_order(value[key])) for key in sorted(value)])
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def _name(kind: str, binding: str) -> str:
    """Where to look. Two bindings of one name only take turns: the binding itself is compared."""
    data = binding.encode()
    return f"{kind}-{crc32(data):08x}{crc32(data[::-1]):08x}"


def _decode(data: bytes, wanted: tuple[str, str], now: float, until: float, latest: float) -> Entry | None:
    try:
        format_, kind, binding, made, expires, *rest = data.decode().split("\n")
        begins, ends = float(made), float(expires)
    except ValueError:
        return None
    if format_ != FORMAT or (kind, binding) != wanted or len(rest) % 2:
        return None
    # Written so that "not a number" fails each comparison.
    if not (begins <= now and until < ends <= latest):
        return None
    return Entry({_plain(name): _plain(value) for name, value in zip(rest[::2], rest[1::2], strict=True)}, ends)


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\n", "%0A")


def _plain(text: str) -> str:
    return text.replace("%0A", "\n").replace("%25", "%")


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
    """A keyring's back ends raise any exception; none may end a login."""
    if isinstance(error, ImportError):
        return "there is no keyring package; install it: pip install 'rolecall[keyring]'"
    return f"the keyring does not answer ({type(error).__name__}); nothing is kept"
