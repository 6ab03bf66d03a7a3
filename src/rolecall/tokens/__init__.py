"""EKS bearer tokens: mint them, and check them before anybody is asked."""

# A verifier refuses what is longer: aws-iam-authenticator v0.7 ``pkg/token/token.go``, ``maxTokenLenBytes``.
MAX_TOKEN_LENGTH = 4096
