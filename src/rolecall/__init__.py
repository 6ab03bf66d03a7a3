"""rolecall: access to Kubernetes clusters through AWS IAM roles.

The package follows one chain, and every folder is a link of it::

    person -> credentials -> assume role -> token -> identity -> Kubernetes user -> permissions

Rules (``iam``, ``sigv4``, ``tokens``, ``mapping``, ``rbac``) are pure functions over plain values. Programs
(``authenticator``, ``lab``, ``cli``) enforce them, answer with them and explain with them.
"""

__version__ = "0.1.0"
