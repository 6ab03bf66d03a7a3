"""The part of the AWS CLI that the tour needs, for machines without it: the same arguments, by way of botocore."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rolecall.lab.tour.commands import Done


class OwnAws:
    """Runs ``aws ...`` in an environment such as the lab shell's.

    :param environment: HOME, AWS_ENDPOINT_URL, AWS_PROFILE and so on.
    :ivar context: what the last ``update-kubeconfig`` remembers: the cluster as described, and the profile that was
        named with it, if any.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.context: tuple[dict[str, Any], str] = {}, ""

    def run(self, arguments: Sequence[str], overrides: Mapping[str, str]) -> Done:
        """Carry out one command; an error of AWS ends it with 254, as the CLI's does."""
        from botocore.exceptions import BotoCoreError, ClientError

        words, profile = _without_profile(list(arguments))
        try:
            return Done(0, self._carry_out(words, profile, overrides), "")
        except (ClientError, BotoCoreError) as error:
            return Done(254, "", str(error))

    def session(self, profile: str, overrides: Mapping[str, str]) -> Any:
        """A botocore session: of the profile, else of the keys in ``overrides``, else of the environment's profile."""
        from botocore.session import Session

        home = Path(self._environment["HOME"])
        if "AWS_ACCESS_KEY_ID" in overrides and not profile:
            session = Session()
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            session.set_credentials(*(overrides[name] for name in names))
        else:
            usual = overrides.get("AWS_PROFILE") or self._environment["AWS_PROFILE"]
            session = Session(profile=profile or usual)
        session.set_config_variable("config_file", str(home / ".aws" / "config"))
        session.set_config_variable("credentials_file", str(home / ".aws" / "credentials"))
        session.set_config_variable("region", self._environment["AWS_REGION"])
        # Role sessions of a profile with role_arn are asked for at the lab's own STS.
        os.environ["AWS_ENDPOINT_URL"] = self._environment["AWS_ENDPOINT_URL"]
        return session

    def _carry_out(self, words: list[str], profile: str, overrides: Mapping[str, str]) -> str:
        session = self.session(profile, overrides)
        service, operation, *options = words
        client = session.create_client(service, endpoint_url=self._environment["AWS_ENDPOINT_URL"])
        if operation == "wait":
            client.get_waiter(options[0].replace("-", "_")).wait(**_parameters(None, options[1:]))
            return ""
        if operation == "update-kubeconfig":
            found = client.describe_cluster(name=options[options.index("--name") + 1])["cluster"]
            self.context = found, profile
            return f"Updated context {found['arn']}\n"
        name = "".join(part.title() for part in operation.split("-"))
        shape = client.meta.service_model.operation_model(name).input_shape
        result = getattr(client, operation.replace("-", "_"))(**_parameters(shape, options))
        result.pop("ResponseMetadata", None)
        return json.dumps(result, indent=4, default=_plain) + "\n" if result else ""


def _without_profile(words: list[str]) -> tuple[list[str], str]:
    if "--profile" not in words:
        return words, ""
    place = words.index("--profile")
    return [*words[:place], *words[place + 2 :]], words[place + 1]


def _parameters(shape: Any, options: Sequence[str]) -> dict[str, Any]:
    """``--role-name X --tags Key=a,Value=b`` as an operation's parameters."""
    names = {} if shape is None else {_kebab(name): (name, member) for name, member in shape.members.items()}
    found = {}
    for flag, value in zip(options[::2], options[1::2], strict=True):
        name, member = names.get(flag.removeprefix("--"), (flag.removeprefix("--"), None))
        found[name] = _value(member, value)
    return found


def _kebab(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def _value(member: Any, text: str) -> Any:
    if text.startswith("file://"):
        text = Path(text.removeprefix("file://")).read_text()
    kind = member.type_name if member is not None else "string"
    if kind == "integer":
        return int(text)
    if kind not in ("list", "structure"):
        return text
    pairs = dict(pair.partition("=")[::2] for pair in text.split(","))
    if kind == "list":
        return [pairs] if member.member.type_name == "structure" else text.split(",")
    return {key: value.split(",") if member.members[key].type_name == "list" else value for key, value in pairs.items()}


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
