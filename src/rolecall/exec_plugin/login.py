"""What one run of the credential plugin is asked for, and with what."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rolecall.exec_plugin.credential_plan import Plan
    from rolecall.exec_plugin.settings import Settings
    from rolecall.local_files.cache import Cache


class Login:
    """What one run is asked for, and with what.

    :ivar cache: where sessions and tokens are kept; ``None`` to keep nothing.
    :ivar keep_source: keep what SSO, a process or the machine gave, too, until it ends.
    :ivar say: tells the person something on standard error.
    """

    __slots__ = ("cache", "cluster", "environ", "keep_source", "plan", "say", "settings")

    def __init__(
        self,
        cluster: str,
        plan: Plan,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        cache: Cache | None,
        keep_source: bool = False,
        say: Callable[[str], None],
    ) -> None:
        self.cluster = cluster
        self.plan = plan
        self.settings = settings
        self.environ = environ
        self.cache = cache
        self.keep_source = keep_source
        self.say = say

    def binding(self, hops: int) -> dict[str, object]:
        """What the credentials after so many roles depend on."""
        return {**self.plan.binding(hops), "endpoint": self.settings.endpoint, "region": self.settings.region}
