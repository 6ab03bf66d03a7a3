"""The reference evaluator: is a request allowed, by which statements, or what is missing, and how certain is that?

The answer is the one of what was understood (:mod:`rolecall.iam.understood`); beside it stand the doubts that touch it
(:mod:`rolecall.iam.doubts`). :mod:`rolecall.iam.compiled` gives the same answers fast, and tests hold the two together.
"""

from __future__ import annotations

from dataclasses import replace

from rolecall.iam.doubts import doubts_about
from rolecall.iam.request import AuthorizationRequest
from rolecall.iam.understood import ALWAYS_ALLOWED, Effect, IamDecision, PolicySet, evaluate_understood

__all__ = ["ALWAYS_ALLOWED", "Effect", "IamDecision", "PolicySet", "evaluate"]


def evaluate(request: AuthorizationRequest, policies: PolicySet) -> IamDecision:
    """Decide a request. An explicit Deny anywhere ends it; then every side that applies must allow."""
    decision = evaluate_understood(request, policies)
    doubts = doubts_about(request, policies, decision.effect)
    return replace(decision, doubts=doubts) if doubts else decision
