"""The command lines of aws-iam-authenticator 0.7.18. Sources: its cmd/aws-iam-authenticator/{root,server,init,add,version}.go;
spf13/cobra command.go (Find, stripFlags) and spf13/pflag flag.go, string_slice.go; Go's strconv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from rolecall.cli import server_settings
from rolecall.cli.go_flags import command_first, hoisted, items
from rolecall.cli.main import app
from rolecall.cli.server_settings import GlobalFlags, gates
from rolecall.errors import RolecallError
from rolecall.mapping.backends.entry_table import MatchOptions
from rolecall.mapping.backends.server_config import ServerSettings, read_server_config
from rolecall.mapping.go_values import parse_bool, parse_int


@pytest.mark.parametrize("value", ["1", "t", "T", "TRUE", "true", "True"])
def test_true(value: str) -> None:
    assert parse_bool(value) is True


@pytest.mark.parametrize("value", ["0", "f", "F", "FALSE", "false", "False"])
def test_false(value: str) -> None:
    assert parse_bool(value) is False


@given(st.text(max_size=6) | st.sampled_from(["yes", "no", "on", "off", "tRUE", "fALSE", "", " true", "2", "Yes"]))
def test_every_other_value_is_neither(value: str) -> None:
    known = {"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"}
    assert (parse_bool(value) is None) is (value not in known)


# viper's GetBool reads every other text as false, so the file of the server refuses it.
@pytest.mark.parametrize("value", ["yes", "on", "no", "off", "y", "maybe", "2", "'yes'", "tRUE"])
def test_a_switch_in_the_file_has_no_other_value_either(value: str) -> None:
    found = read_server_config(f"server: {{dynamicfileUserIDStrict: {value}}}", MatchOptions())
    assert len(found.problems) == 1


@pytest.mark.parametrize(
    ("value", "is_on"), [("true", True), ("'T'", True), ("1", True), ("False", False), ("'0'", False)]
)
def test_a_switch_in_the_file(value: str, is_on: bool) -> None:
    found = read_server_config(f"server: {{dynamicfileUserIDStrict: {value}}}", MatchOptions())
    assert (found.problems, found.values["user_id_strict"]) == ((), is_on)


@pytest.mark.parametrize(
    ("value", "number"),
    [("21362", 21362), ("0", 0), ("010", 8), ("0o17", 15), ("0O17", 15), ("0x1F", 31), ("0b101", 5), ("1_000", 1000),
     ("+5", 5), ("-5", -5), ("0_7", 7), ("", None), (" 5", None), ("5 ", None), ("1.5", None), ("1e3", None),
     ("_1", None), ("1_", None), ("1__0", None), ("08", None), ("0x", None), ("٣", None), ("9" * 60, None), ("9223372036854775807", 2**63 - 1), ("9223372036854775808", None)],
)  # fmt: skip
def test_numbers_as_go_reads_them(value: str, number: int | None) -> None:
    assert parse_int(value) == number


@pytest.mark.parametrize(
    ("values", "found"),
    [(None, None), ([""], ()), (["a,b", "c"], ("a", "b", "c")), (["a, b"], ("a", " b")), (['"a,b",c'], ("a,b", "c")),
     (["a,,b"], ("a", "", "b"))],
)  # fmt: skip
def test_lists_are_csv(values: list[str] | None, found: Any) -> None:
    assert items(values) == found


def test_a_list_that_is_no_csv_is_refused() -> None:
    with pytest.raises(typer.BadParameter):
        items(['a,"b'])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("-c FILE server", "server -c FILE"),
        ("-cFILE server", "server -cFILE"),
        ("-c=FILE server --port 1", "server -c=FILE --port 1"),
        ("--config FILE -i prod server", "server --config FILE -i prod"),
        ("--config=FILE --log-verbosity debug server", "server --config=FILE --log-verbosity debug"),
        ("-v debug -l json --feature-gates SSORoleMatch=true init", "init -v debug -l json --feature-gates SSORoleMatch=true"),
        # cobra looks for the command without knowing its flags: an unknown one takes the next word.
        ("--port 5 server", "server --port 5"),
        ("-i prod token -r ROLE", "token -i prod -r ROLE"),
        ("-i prod verify", "verify -i prod"),
        ("-l json version", "version -l json"),
        ("--log-format text add user --userarn X", "add --log-format text user --userarn X"),
        ("server -c FILE", "server -c FILE"),
        ("-c server", ""),
        ("-c FILE", ""),
        ("-v debug -l=json", ""),
        ("-v", "-v"),
        ("-c FILE help server", "help -c FILE server"),
        ("--help server", "server --help"),
        ("--version", "--version"),
        ("--region eu plan", "--region eu plan"),
        ("-c FILE -- server", "-c FILE -- server"),
        ("", ""),
    ],
)  # fmt: skip
def test_flags_before_the_command(given: str, expected: str) -> None:
    assert " ".join(hoisted(given.split())) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--prompt=false user --userarn X", "user --prompt=false --userarn X"),
        ("--prompt user", "user --prompt"),
        ("--kubeconfig F --master-url U role", "role --kubeconfig F --master-url U"),
        ("--help", "--help"),
    ],
)
def test_flags_before_the_command_of_a_group(given: str, expected: str) -> None:
    assert " ".join(command_first(given.split(), ("--prompt", "--help"))) == expected


@given(
    st.lists(st.sampled_from(["-c", "--port", "server", "plan", "x", "--a=b", "-ix", "--", "-", "--help"]), max_size=6)
)
def test_no_argument_is_lost(arguments: list[str]) -> None:
    # Global options without a command are left out: the list of commands is shown.
    assert sorted(hoisted(arguments)) in (sorted(arguments), [])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[ServerSettings, str]]]:
    """The settings and the configuration file that servers were started with."""
    found: list[tuple[ServerSettings, str]] = []

    def serve(settings: ServerSettings, config: str, *_: Any, **__: Any) -> int:
        found.append((settings, config))
        return 0

    monkeypatch.setattr("rolecall.authenticator.supervisor.serve", serve)
    for name in (server_settings.CLUSTER_VARIABLE, server_settings.LEVEL_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return found


def run(*arguments: str) -> int:
    """The exit code of ``rolecall`` with these arguments."""
    try:
        app(hoisted(arguments), prog_name="rolecall")
    except SystemExit as ended:
        return int(ended.code or 0)
    except RolecallError:
        return 1
    raise AssertionError("the command line has no end")


# server.go: flag, value, setting, value of the setting
FLAGS = [
    ("--partition", "aws-cn", "partition", "aws-cn"),
    ("--generate-kubeconfig", "/x", "generate_kubeconfig", "/x"),
    ("--state-dir", "/x", "state_dir", "/x"),
    ("--kubeconfig", "/x", "kubeconfig", "/x"),
    ("--master", "https://x", "master", "https://x"),
    ("--address", "0.0.0.0", "address", "0.0.0.0"),
    ("--backend-mode", "MountedFile,CRD", "backend_modes", ("MountedFile", "CRD")),
    ("--port", "0x10", "port", 16),
    ("--ec2-describeInstances-qps", "20", "ec2_qps", 20),
    ("--ec2-describeInstances-burst", "7", "ec2_burst", 7),
    ("--cluster-id", "prod", "cluster_id", "prod"),
    ("-i", "prod", "cluster_id", "prod"),
    ("--feature-gates", "SSORoleMatch=F", "sso_role_match", False),
]


@pytest.mark.parametrize(("flag", "value", "setting", "expected"), FLAGS)
def test_every_flag_in_every_form(started: list[Any], flag: str, value: str, setting: str, expected: Any) -> None:
    forms = [("server", flag, value), (flag, value, "server")]
    if flag.startswith("--"):
        forms += [("server", f"{flag}={value}"), (f"{flag}={value}", "server")]
    else:
        forms += [("server", f"{flag}{value}"), ("server", f"{flag}={value}"), (f"{flag}{value}", "server")]
    for form in forms:
        assert run(*form) == 0, form
    assert [getattr(settings, setting) for settings, _ in started] == [expected] * len(forms)


@pytest.mark.parametrize("flag", ["--kubeconfig-pregenerated", "--dynamicfileUserIDStrict"])
@pytest.mark.parametrize(
    "value", ["", "=1", "=t", "=T", "=TRUE", "=true", "=True", "=0", "=f", "=F", "=FALSE", "=false", "=False"]
)
def test_every_value_of_a_switch(started: list[Any], flag: str, value: str) -> None:
    assert run("server", f"{flag}{value}") == 0
    name = {"--kubeconfig-pregenerated": "kubeconfig_pregenerated"}.get(flag, "user_id_strict")
    assert getattr(started[0][0], name) is (value in ("", "=1", "=t", "=T", "=TRUE", "=true", "=True"))


@pytest.mark.parametrize("value", ["yes", "no", "on", "off", "2", "tRuE", "-1", "", "nil"])
def test_no_other_value_of_a_switch(started: list[Any], value: str) -> None:
    assert run("server", f"--kubeconfig-pregenerated={value}") == 2
    assert started == []


def test_the_last_of_several_counts(started: list[Any]) -> None:
    on, off = "--kubeconfig-pregenerated", "--kubeconfig-pregenerated=false"
    for form, expected in (((on, off), False), ((off, on), True), (("--no-kubeconfig-pregenerated", on), True)):
        run("server", *form, "--port=1", "--port=2", "--backend-mode=CRD", "--backend-mode", "MountedFile")
        settings = started.pop()[0]
        assert (settings.kubeconfig_pregenerated, settings.port) == (expected, 2)
        assert settings.backend_modes == ("CRD", "MountedFile")


@pytest.mark.parametrize(
    "arguments", [("--port", "a"), ("--port="), ("--port", "1.5"), ("--prot", "1"), ("--port",), ("-z",)]
)
def test_what_pflag_refuses(started: list[Any], arguments: tuple[str, ...]) -> None:
    assert run("server", *([arguments] if isinstance(arguments, str) else arguments)) == 2
    assert started == []


def test_flags_before_variables_before_the_file(
    started: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "CLUSTERID: file\nserver: {Port: 5, reservedPrefixConfig: [{backendMode: CRD, usernamePrefixReserveList: [x]}]}"
    )
    run("-c", str(path), "server")
    assert (started[-1][0].cluster_id, started[-1][0].port) == ("file", 5)
    assert started[-1] == (started[-1][0], str(path))
    assert started[-1][0].reserved == {"CRD": ("x",)}
    monkeypatch.setenv("KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID", "variable")
    run("-c", str(path), "server", "--port", "6")
    assert (started[-1][0].cluster_id, started[-1][0].port) == ("variable", 6)
    run("-c", str(path), "-i", "flag", "server")
    assert started[-1][0].cluster_id == "flag"
    # viper: a variable that is empty is not set, and a flag that is empty is.
    monkeypatch.setenv("KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID", "")
    run("-c", str(path), "server")
    assert started[-1][0].cluster_id == "file"
    run("-c", str(path), "-i", "", "server")
    assert started[-1][0].cluster_id == ""


@pytest.mark.parametrize(
    ("level", "number"),
    [("trace", 5), ("debug", 10), ("info", 20), ("warn", 30), ("warning", 30), ("error", 40), ("fatal", 50), ("panic", 60), ("DEBUG", 10)],
)  # fmt: skip
def test_levels_of_the_log(level: str, number: int) -> None:
    assert GlobalFlags(log_verbosity=level, environ={}).log().level == number
    assert GlobalFlags(environ={"AWS_IAM_AUTHENTICATOR_LOG_VERBOSITY": level}).log().level == number
    assert (
        GlobalFlags(log_verbosity=level, environ={"AWS_IAM_AUTHENTICATOR_LOG_VERBOSITY": "panic"}).log().level == number
    )


@pytest.mark.parametrize(
    "form",
    [("-v", "debug"), ("--log-verbosity", "debug"), ("--log-verbosity=debug",), ("-vdebug",), ("--loglevel", "debug")],
)
def test_the_level_is_a_flag_of_every_command(
    started: list[Any], form: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = []
    monkeypatch.setattr(server_settings, "Log", lambda form, level: levels.append(level))
    assert run("server", *form) == 0
    assert run(*form, "server") == 0
    assert levels == ["debug", "debug"]


def test_a_level_that_does_not_exist(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("-v", "loud", "server") == 1
    monkeypatch.setenv("AWS_IAM_AUTHENTICATOR_LOG_VERBOSITY", "loud")
    assert run("server") == 1
    monkeypatch.setenv("AWS_IAM_AUTHENTICATOR_LOG_VERBOSITY", "")
    assert run("server") == 0


def test_a_log_format_that_does_not_exist_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    GlobalFlags(log_format="xml", environ={}).log()
    assert "Unknown log format specified (xml)" in capsys.readouterr().err
    GlobalFlags(log_format="json", environ={}).log().warning("x")
    assert capsys.readouterr().err.startswith("{")


# featuregate.go: Set and SetFromMap; AllAlpha sets the alpha gates that are not named.
@pytest.mark.parametrize(
    ("given", "is_on"),
    [((), True), (("SSORoleMatch=true",), True), (("SSORoleMatch=0",), False), (("SSORoleMatch=f", "SSORoleMatch=T"), True),
     ((" SSORoleMatch = FALSE ",), False), (("AllAlpha=false",), False), (("AllAlpha=false,SSORoleMatch=1",), True),
     (("SSORoleMatch=true", "AllAlpha=false"), True), (("AllBeta=false",), True), (("",), True), (("IAMIdentityMappingCRD=0,",), True)],
)  # fmt: skip
def test_gates(given: tuple[str, ...], is_on: bool) -> None:
    assert gates(given)["SSORoleMatch"] is is_on


@pytest.mark.parametrize(
    "given",
    [
        "SSORoleMatch",
        "SSORoleMatch=",
        "SSORoleMatch=no",
        "SSORoleMatch=off",
        "SSORoleMatch=2",
        "ssorolematch=true",
        "Nope=true",
    ],
)
def test_gates_that_are_refused(given: str) -> None:
    with pytest.raises(RolecallError):
        gates((given,))


GLOBAL_FORMS = [
    [*form]
    for long, short, value in (
        ("--config", "-c", "x"),
        ("--log-format", "-l", "json"),
        ("--log-verbosity", "-v", "debug"),
        ("--cluster-id", "-i", "x"),
        ("--feature-gates", "", "SSORoleMatch=1"),
    )
    for form in (
        [long, value],
        [f"{long}={value}"],
        *([[short, value], [f"{short}{value}"], [f"{short}={value}"]] if short else []),
    )
]


def test_every_form_and_place_of_the_global_flags() -> None:
    """root.go, PersistentFlags: every command of the original takes them, if only to ignore them."""
    for form in GLOBAL_FORMS:
        for place in ([*form, "version", "-s"], ["version", *form, "-s"], ["version", "-s", *form]):
            assert run(*place) == 0, place


@pytest.mark.parametrize("command", ["server", "init", "add user", "add role", "remove user", "remove role"])
def test_every_command_takes_the_global_flags(command: str) -> None:
    flags = ["-c", "x", "-l=json", "--log-verbosity", "debug", "-ix", "--feature-gates=SSORoleMatch=1"]
    first, *rest = command.split()
    for place in ([*flags, first, *rest], [first, *flags, *rest], [first, *rest, *flags]):
        assert run(*place, "--help") == 0, place


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("version",), 0, '{"Version": "'),
        (("version", "-s"), 0, "0."),
        (("version", "--short=true"), 0, "0."),
        (("version", "-s=false", "-o=yaml"), 0, 'version: "'),
        (("version", "--output", "json"), 0, '{"Version": "'),
        (("-v", "debug", "-c", "x", "version", "-s"), 0, "0."),
        (("version", "-o", "xml"), 2, ""),
        (("help",), 0, "Access as code:"),
        (("-v", "debug", "help", "-l=json", "server"), 0, "--backend-mode"),
        (("help", "server"), 0, "--backend-mode"),
        (("help", "add", "user"), 0, "--userarn"),
        (("help", "token"), 0, "--role"),
        (("help", "nope"), 2, ""),
    ],
)
def test_version_and_help(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, says: str) -> None:
    assert run(*arguments) == code
    assert says in capsys.readouterr().out


@pytest.mark.parametrize("name", ["server", "init", "version", "add user", "add role", "remove user", "remove role"])
def test_help_has_two_examples_and_exit_codes(capsys: pytest.CaptureFixture[str], name: str) -> None:
    run(*name.split(), "--help")
    text = capsys.readouterr().out
    assert text.split("Examples:")[1].count(f"rolecall {name.split()[0]}") == 2
    assert "Exit codes:" in text
    for word in ("<str>", "<int", "<list", "[default: (", "where ", "whoever", "anew"):
        assert word not in text, word
