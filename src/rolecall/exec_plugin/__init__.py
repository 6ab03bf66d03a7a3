"""``rolecall token`` and ``rolecall eks get-token``: what kubectl runs to get a token for a cluster.

kubectl starts it for every command, so start-up time is its first feature: what a kept token, a kept session and static
keys need is the lightest modules of the standard library only (ADR 7 names those that are too heavy). Everything else
is imported by the function that needs it. In the order of a run::

    arguments -> settings -> credential_plan -> asked_source -> sessions (cache, lock, STS, MFA) -> token -> exec_info
"""
