"""OpenID Connect providers. Source: IAM API reference, CreateOpenIDConnectProvider and neighbours."""

from __future__ import annotations

import json
import re
from sqlite3 import Row
from urllib.parse import urlsplit

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Result, action
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.iam.owners import put_tags, request_tags, resource_tags, tag_list, tag_pairs, tagging
from rolecall.lab.aws_endpoint.moments import from_text, to_text

MAX_CLIENTS = 100
_THUMBPRINT = re.compile(r"[0-9a-fA-F]{40}", re.ASCII)


def _resource(call: Call, params: Params) -> str:
    if arn := params.get("OpenIDConnectProviderArn"):
        return str(arn)
    return f"arn:{call.partition}:iam::{call.account}:oidc-provider/{_host_and_path(params.get('Url', ''))}"


def get(call: Call, arn: str) -> Row:
    row = call.store.one("SELECT * FROM oidc_providers WHERE arn = ? AND account = ?", (arn, call.account))
    if row is None:
        raise AwsError("NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}", 404)
    return row


def _tags(call: Call, params: Params) -> Context:
    return resource_tags(directory.tags_of(call.store, params["OpenIDConnectProviderArn"]))


@action(
    "iam",
    "CreateOpenIDConnectProvider",
    resource=_resource,
    context=request_tags,
    also=tagging("OpenIDConnectProvider", _resource),
)
def create_provider(call: Call, params: Params) -> Result:
    url, tags = _host_and_path(params["Url"]), tag_pairs(params, ignore_case=False)
    if not url:
        raise AwsError("ValidationError", "Invalid Open ID Connect Provider URL", 400)
    arn = _resource(call, params)
    if call.store.one("SELECT 1 FROM oidc_providers WHERE arn = ?", (arn,)) is not None:
        raise AwsError("EntityAlreadyExists", f"Provider with url https://{url} already exists.", 409)
    clients, thumbprints = params.get("ClientIDList") or [], params.get("ThumbprintList") or []
    _check_clients(clients)
    _check_thumbprints(thumbprints)
    call.store.execute(
        "INSERT INTO oidc_providers VALUES (?, ?, ?, ?, ?, ?)",
        (arn, call.account, url, json.dumps(clients), json.dumps(thumbprints), to_text(call.now)),
    )
    put_tags(call, arn, tags, ignore_case=False)
    return {"OpenIDConnectProviderArn": arn, "Tags": tag_list(tags)}


@action("iam", "GetOpenIDConnectProvider", resource=_resource, context=_tags)
def get_provider(call: Call, params: Params) -> Result:
    row = get(call, params["OpenIDConnectProviderArn"])
    return {
        "Url": row["url"],
        "ClientIDList": json.loads(row["clients"]),
        "ThumbprintList": json.loads(row["thumbprints"]),
        "CreateDate": from_text(row["created"]),
        "Tags": tag_list(directory.tags_of(call.store, row["arn"])),
    }


@action("iam", "ListOpenIDConnectProviders")
def list_providers(call: Call, params: Params) -> Result:
    rows = call.store.all("SELECT arn FROM oidc_providers WHERE account = ? ORDER BY arn", (call.account,))
    return {"OpenIDConnectProviderList": [{"Arn": row["arn"]} for row in rows]}


@action("iam", "DeleteOpenIDConnectProvider", resource=_resource, context=_tags)
def delete_provider(call: Call, params: Params) -> Result:
    row = get(call, params["OpenIDConnectProviderArn"])
    call.store.execute("DELETE FROM tags WHERE owner = ?", (row["arn"],))
    call.store.execute("DELETE FROM oidc_providers WHERE arn = ?", (row["arn"],))
    return {}


@action("iam", "AddClientIDToOpenIDConnectProvider", resource=_resource, context=_tags)
def add_client(call: Call, params: Params) -> Result:
    row = get(call, params["OpenIDConnectProviderArn"])
    clients = json.loads(row["clients"])
    if params["ClientID"] not in clients:
        clients.append(params["ClientID"])
    _check_clients(clients)
    _set(call, row, "clients", clients)
    return {}


@action("iam", "RemoveClientIDFromOpenIDConnectProvider", resource=_resource, context=_tags)
def remove_client(call: Call, params: Params) -> Result:
    row = get(call, params["OpenIDConnectProviderArn"])
    _set(call, row, "clients", [client for client in json.loads(row["clients"]) if client != params["ClientID"]])
    return {}


@action("iam", "UpdateOpenIDConnectProviderThumbprint", resource=_resource, context=_tags)
def update_thumbprint(call: Call, params: Params) -> Result:
    row = get(call, params["OpenIDConnectProviderArn"])
    _check_thumbprints(params["ThumbprintList"])
    _set(call, row, "thumbprints", params["ThumbprintList"])
    return {}


def _set(call: Call, row: Row, column: str, values: list[str]) -> None:
    sql = f"UPDATE oidc_providers SET {column} = ? WHERE arn = ?"  # noqa: S608 -- a constant name
    call.store.execute(sql, (json.dumps(values), row["arn"]))


def _host_and_path(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        return ""
    return f"{parts.netloc}{parts.path}".rstrip("/")


def _check_clients(clients: list[str]) -> None:
    if len(clients) > MAX_CLIENTS:
        raise AwsError(
            "LimitExceeded", f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {MAX_CLIENTS}", 409
        )


def _check_thumbprints(thumbprints: list[str]) -> None:
    if len(thumbprints) > 5:
        raise AwsError("InvalidInput", "Thumbprint list must contain fewer than 5 entries.", 400)
    if not all(_THUMBPRINT.fullmatch(thumbprint) for thumbprint in thumbprints):
        raise AwsError("InvalidInput", "A thumbprint has 40 hexadecimal digits.", 400)
