"""EKS bearer tokens: mint them, and check them before anybody is asked."""

# A verifier refuses what is longer: aws-iam-authenticator v0.7 ``pkg/token/token.go``, ``maxTokenLenBytes``.
MAX_TOKEN_LENGTH = 4096
# What a verifier may be set to allow: AWS gives longer session tokens on request (aws-iam-authenticator issue 1106).
LONGEST_TOKEN = 16_384
MAX_CLUSTER_ID = 256
PREFIX = "k8s-aws-v1."
# The server takes a token for 15 minutes from its date, whatever X-Amz-Expires says; clients report one minute less.
LIFETIME_SECONDS = 900
REPORTED_SECONDS = 840


def is_cluster_id(text: str) -> bool:
    """Whether an HTTP header can carry ``text`` as a cluster's id: printable ASCII without spaces, bounded.

    A line break in it would add headers to the call to STS; other characters no signature agrees about.
    """
    return 0 < len(text) <= MAX_CLUSTER_ID and text.isascii() and text.isprintable() and " " not in text
