"""Kubernetes clusters read and changed through their API."""
