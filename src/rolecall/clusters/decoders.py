"""What must be done once before threads read answers of clusters.

lightkube decodes by msgspec, which works out how to read a type when it first meets it. Two threads that do so at once
read from half-made memory, and the process ends (seen with msgspec 0.22: about one in seven starts of twelve threads).
So every type that is read here is met once, by one thread, before the first connection is handed out.
"""

from __future__ import annotations

import threading
from typing import Any

import msgspec
from lightkube.core.decoders import decode_list, decode_object, decode_status, decode_watch_event
from lightkube.resources.authentication_v1 import SelfSubjectReview
from lightkube.resources.core_v1 import ConfigMap
from lightkube.resources.rbac_authorization_v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding

# Every resource that rolecall.clusters reads or writes as a type of lightkube's; generic ones are plain dicts.
TYPES: tuple[Any, ...] = (ConfigMap, ClusterRole, ClusterRoleBinding, Role, RoleBinding, SelfSubjectReview)
_lock = threading.Lock()
_done = False


def prepare_decoders() -> None:
    """Make the decoders of :data:`TYPES`, once in a process."""
    global _done
    if _done:
        return
    with _lock:
        if not _done:
            for kind in TYPES:
                _try(decode_object, kind)
                _try(decode_list, kind)
            for decode in (decode_status, decode_watch_event):
                _try(decode)
            _done = True


def _try(decode: Any, *kind: Any) -> None:
    """Decode an object without its required members: the type is known before they are missed."""
    try:
        decode(b"{}", *kind)
    except msgspec.ValidationError:
        return
