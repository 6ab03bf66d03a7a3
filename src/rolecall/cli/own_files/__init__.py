"""``rolecall kubeconfig`` and ``rolecall profiles``: contexts and profiles in the files that belong to a person."""
