"""Errors of a cluster's API as errors that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lightkube.core.exceptions import ApiError

from rolecall.errors import RolecallError

# What lightkube raises where no answer comes is of the HTTP library below it, whose name is not the same in all of
# lightkube's versions; its ApiError descends from it.
HttpError: type[Exception] = next(kind for kind in ApiError.__mro__ if kind.__name__ == "HTTPError")

_ADVICE = {
    401: "the cluster does not know these credentials: map their role or user, or name others",
    403: "map these credentials to a user or group that may do that",
    409: "somebody changed it at the same time: try again",
    429: "the cluster has too much to do: try again in a minute",
}


class ClusterError(RolecallError):
    """A cluster refused a request, or did not answer.

    :param code: the HTTP status; 0 where no answer came.
    """

    def __init__(self, what: str, *, where: str = "", advice: str = "", code: int = 0) -> None:
        self.code = code
        super().__init__(what, where=where, advice=advice)


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Raise :class:`ClusterError` for whatever lightkube raises inside. ``where``: the cluster, and what of it."""
    try:
        yield
    except ApiError as error:
        code = int(error.status.code or error.response.status_code)
        what = f"{error.status.reason or code}: {error.status.message or 'no message'}"
        raise ClusterError(what, where=where, advice=_ADVICE.get(code, ""), code=code) from error
    except HttpError as error:
        response = getattr(error, "response", None)
        code = response.status_code if response is not None else 0
        advice = _ADVICE.get(code, "check the network, the proxy and whether the cluster's endpoint is public")
        raise ClusterError(str(error) or type(error).__name__, where=where, advice=advice, code=code) from error
