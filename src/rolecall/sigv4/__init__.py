"""AWS Signature Version 4: sign and verify, over raw bytes.

The names are loaded when they are first asked for: who only mints a token (:mod:`rolecall.sigv4.presigned`) does
not pay for the verifier and its nouns.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rolecall.sigv4.request import Credentials, HttpRequest
    from rolecall.sigv4.signing import presign, sign
    from rolecall.sigv4.verify import Signature, SignatureError, SignatureProblem, parse_signature, verify_signature

__all__ = [
    "Credentials",
    "HttpRequest",
    "Signature",
    "SignatureError",
    "SignatureProblem",
    "parse_signature",
    "presign",
    "sign",
    "verify_signature",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rolecall.sigv4 import request, signing, verify

    for module in (request, signing, verify):
        if name in vars(module):
            found: object = vars(module)[name]
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
