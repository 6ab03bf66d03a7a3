"""``rolecall token`` and ``rolecall eks get-token``: what kubectl runs to get a token for a cluster.

Started anew for every kubectl command, so start-up time is its first feature: the path of a cached token and that of a
cached role session import the standard library's lightest modules only (no dataclasses, which bring in ``inspect``).
What needs more (http.client, ssl, botocore) is imported where it is needed. In the order of a run::

    arguments -> settings -> credential_plan -> sessions (cache, lock, STS, MFA) -> token -> exec_info
"""
