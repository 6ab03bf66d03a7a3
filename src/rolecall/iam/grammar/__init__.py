"""What IAM checks when a policy document is saved, in the words of its API.

A grammar, and not the meaning of names: an action, a service or a condition key that does not exist is saved, and
matches nothing later. What a saved document means is ``rolecall.iam.documents``; advice for people who write policies
is in the linters, in better words than these.

Sources: the answers of AWS that moto (``tests/test_iam/test_iam_policies.py``) and LocalStack
(``tests/aws/services/iam``, snapshots of 2026-02) have recorded; IAM user guide, "Grammar of the IAM JSON policy
language". None of the 1,582 managed policies of AWS (2026) is refused.
"""
