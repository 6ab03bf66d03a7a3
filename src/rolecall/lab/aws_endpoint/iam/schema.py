"""The tables of IAM."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (account TEXT PRIMARY KEY, created TEXT NOT NULL, alias TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, created TEXT NOT NULL,
    boundary TEXT, UNIQUE (account, name COLLATE NOCASE));
CREATE TABLE IF NOT EXISTS roles (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, created TEXT NOT NULL,
    boundary TEXT, trust TEXT NOT NULL, trust_ids TEXT NOT NULL, description TEXT NOT NULL,
    max_session INTEGER NOT NULL, UNIQUE (account, name COLLATE NOCASE));
CREATE TABLE IF NOT EXISTS groups (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, created TEXT NOT NULL,
    UNIQUE (account, name COLLATE NOCASE));
CREATE TABLE IF NOT EXISTS memberships (
    group_id TEXT NOT NULL REFERENCES groups (id), user_id TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (group_id, user_id));
CREATE INDEX IF NOT EXISTS memberships_by_user ON memberships (user_id);
CREATE TABLE IF NOT EXISTS access_keys (
    id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users (id), secret TEXT NOT NULL, status TEXT NOT NULL,
    created TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS access_keys_by_user ON access_keys (user_id);
CREATE TABLE IF NOT EXISTS key_usage (
    key_id TEXT PRIMARY KEY, used TEXT NOT NULL, service TEXT NOT NULL, region TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS inline_policies (
    owner TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (owner, name));
CREATE TABLE IF NOT EXISTS policies (
    arn TEXT PRIMARY KEY, id TEXT NOT NULL, account TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL,
    description TEXT NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL, default_version TEXT NOT NULL,
    last_version INTEGER NOT NULL, UNIQUE (account, name COLLATE NOCASE));
CREATE TABLE IF NOT EXISTS policy_versions (
    arn TEXT NOT NULL REFERENCES policies (arn), version TEXT NOT NULL, document TEXT NOT NULL, created TEXT NOT NULL,
    PRIMARY KEY (arn, version));
CREATE TABLE IF NOT EXISTS attachments (
    owner TEXT NOT NULL, arn TEXT NOT NULL REFERENCES policies (arn), PRIMARY KEY (owner, arn));
CREATE INDEX IF NOT EXISTS attachments_by_policy ON attachments (arn);
CREATE TABLE IF NOT EXISTS tags (
    owner TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (owner, key));
CREATE TABLE IF NOT EXISTS mfa_devices (
    serial TEXT PRIMARY KEY, account TEXT NOT NULL, seed TEXT NOT NULL, user_id TEXT, enabled TEXT,
    last_step INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS oidc_providers (
    arn TEXT PRIMARY KEY, account TEXT NOT NULL, url TEXT NOT NULL, clients TEXT NOT NULL, thumbprints TEXT NOT NULL,
    created TEXT NOT NULL);
"""
