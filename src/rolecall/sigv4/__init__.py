"""AWS Signature Version 4: sign and verify, over raw bytes."""

from rolecall.sigv4.request import Credentials, HttpRequest
from rolecall.sigv4.sign import presign, sign
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
