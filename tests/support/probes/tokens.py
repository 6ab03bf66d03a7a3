"""Cluster tokens."""

from __future__ import annotations

from datetime import timedelta

from probes.world import Probe, World

TOKENS = (
    Probe("a token for this cluster", "facts/eks 3.1", World.token),
    Probe("a token of a role session", "facts/eks 3.1", lambda w: w.token(key=w.assume()["Credentials"])),
    Probe("a token for another cluster", "facts/eks 3.1", lambda w: w.token("other"), "SignatureDoesNotMatch"),
    Probe("a token of 14 minutes", "facts/eks 3.1", lambda w: w.token(now=w.lab.now - timedelta(minutes=14))),
    Probe("a token of 16 minutes", "facts/eks 3.1", lambda w: w.token(now=w.lab.now - timedelta(minutes=16)), "expired"),
    Probe("a token without its prefix", "facts/eks 3.1", lambda w: w.token(change=lambda value: value[11:]), "prefix"),
    Probe("a token with padding", "facts/eks 3.1", lambda w: w.token(change=lambda value: value + "="), "base64"),
    Probe("a token that is too long", "facts/eks 3.1", lambda w: w.token(change=lambda value: value + "A" * 4_096), "too-long"),
    Probe("a token of a deleted key", "iam: DeleteAccessKey", lambda w: (w.iam.delete_access_key(UserName="alice", AccessKeyId=w.key["AccessKeyId"]), w.token())[1], "InvalidClientTokenId"),
)  # fmt: skip
