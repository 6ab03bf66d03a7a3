"""What tokens without a valid key can make the server ask and count. Source: aws-iam-authenticator v0.7 ``token.go``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rolecall.errors import RolecallError
from rolecall.mapping.backends.server_config import ServerSettings, check_settings
from rolecall.sigv4 import Credentials
from rolecall.tokens.mint import mint
from sts_stand_in import DEV, StsStandIn
from webhook_worker import CLUSTER, worker

CONFIG = """
clusterID: prod
server:
  mapRoles:
  - roleARN: arn:aws:iam::111122223333:role/Dev
    username: dev
"""


def token(endpoint: str, session: str = "t") -> str:
    credentials = Credentials(DEV, "s", session)
    return mint(credentials, CLUSTER, region="us-east-1", now=datetime.now(UTC), endpoint=endpoint).value


async def test_a_made_up_region_is_neither_asked_nor_counted(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    async with StsStandIn() as sts, worker(tmp_path, sts.endpoint, tmp_path / "config.yaml") as running:
        for number in range(300):
            letters = "".join(chr(97 + int(digit)) for digit in f"{number:04}")
            for suffix in ("amazonaws.com", "api.aws"):
                status, answer = await running.review(token(f"https://sts.us-{letters}-1.{suffix}"))
                assert (status, answer["status"]["authenticated"]) == (200, False)
                assert "not an STS host of partition aws" in answer["status"]["error"]
        # The next ones fit the pattern of their partition and are no regions either, or belong to other clouds.
        for host in (
            "sts.eu-west-77.amazonaws.com",
            "sts.cn-north-1.amazonaws.com.cn",
            "sts.us-gov-west-1.amazonaws.com",
        ):
            _, answer = await running.review(token(f"https://{host}"))
            assert not answer["status"]["authenticated"]
        assert not sts.asked
        _, metrics = await running.get("/metrics")
    assert "StsRegion" not in metrics


@pytest.mark.parametrize(("longest", "username"), [(4_096, ""), (16_384, "dev")])
async def test_the_longest_token_is_a_setting(tmp_path: Path, longest: int, username: str) -> None:
    # aws-iam-authenticator issue 1106: AWS gives longer session tokens on request; its own limit is 4,096 characters.
    (tmp_path / "config.yaml").write_text(CONFIG)
    async with (
        StsStandIn() as sts,
        worker(tmp_path, sts.endpoint, tmp_path / "config.yaml", max_token_length=longest) as running,
    ):
        status, answer = await running.review(token(sts.endpoint, "A" * 9_000))
        assert status == 200
        assert answer["status"].get("user", {}).get("username", "") == username
        assert bool(sts.asked) == bool(username)
        _, answer = await running.review(token(sts.endpoint, "A" * 13_000))
        assert "characters" in answer["status"]["error"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"max_token_length": 4_095}, "maxTokenLength is not from 4096 to 16384"),
        ({"max_token_length": 16_385}, "maxTokenLength"),
        ({"sts_regions": ("evil.example",)}, "'evil.example' is not a region of partition aws"),
        ({"sts_regions": ("cn-north-1",)}, "not a region of partition aws"),
        ({"sts_regions": tuple(f"eu-west-{number}" for number in range(4, 99))}, "more than 64"),
    ],
)
def test_settings_that_would_open_more_than_meant(settings: dict[str, object], says: str) -> None:
    with pytest.raises(RolecallError) as raised:
        check_settings(ServerSettings(cluster_id="x", **settings))  # type: ignore[arg-type]
    assert says in raised.value.what
