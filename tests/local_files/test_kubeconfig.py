"""Contexts written into a file that belongs to a person.

Source of the format: Kubernetes documentation, "kubeconfig (v1)".
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rolecall.local_files import kubeconfig
from rolecall.local_files.kubeconfig import Context, Exec, Written, default_path, kubeconfig_paths, write_contexts
from rolecall.local_files.kubeconfig_text import KubeconfigError
from rolecall.local_files.writing import UnwritableError
from rolecall.local_files.yaml_dump import dump_yaml
from unusual_files import ROOT, in_private_mounts, make_device

KUBECTL = Path(__file__).resolve().parents[2] / ".tools" / "kubectl" / "1.36" / "kubectl"
ARN = "arn:aws:eks:eu-west-2:231144931069:cluster/kubedemy"
THEIRS = """\
# my clusters
apiVersion: v1
kind: Config
current-context: "home"
clusters:
- name: home   # under the desk
  cluster:
    server: https://10.0.0.1:6443
contexts:
- context: {cluster: home, user: me, namespace: yes-really}
  name: home
users:
- name: me
  user:
    token: 'secret'
preferences: {}
"""


def context(
    cluster: str = ARN, role: str = "Admins", names: tuple[str, ...] = (), server: str = "https://127.0.0.1:1"
) -> Context:
    plugin = Exec("rolecall", ("token", "-i", "kubedemy", "-r", role), {"AWS_PROFILE": "p"})
    return Context(
        names or (f"kubedemy/{role}", f"231144931069/kubedemy/{role}"),
        f"{cluster} {role}",
        cluster,
        server,
        "Q0E=",
        plugin,
    )


def merged(text: str, contexts: Sequence[Context], *, prune: bool = False, use: str = "") -> tuple[str, Written]:
    """The text of a file after it was written to."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "config"
        if text:
            path.write_bytes(text.encode())
        written = write_contexts([path], contexts, prune=prune, use=use)
        return path.read_bytes().decode() if path.exists() else "", written


def test_a_new_file_is_one_that_kubectl_reads(tmp_path: Path) -> None:
    path = tmp_path / "kube" / "config"
    written = write_contexts([path], [context()])
    assert (written.added, written.current) == (("kubedemy/Admins",), "kubedemy/Admins")
    assert path.stat().st_mode & 0o077 == 0
    shown = subprocess.run(
        [KUBECTL, "--kubeconfig", path, "config", "view", "--minify", "-o", "json"],
        capture_output=True,
        check=True,
    )
    found = yaml.safe_load(shown.stdout)
    plugin = found["users"][0]["user"]["exec"]
    assert plugin["args"] == ["token", "-i", "kubedemy", "-r", "Admins"]
    assert plugin["env"] == [{"name": "AWS_PROFILE", "value": "p"}]


def test_what_belongs_to_others_stays_as_it_is() -> None:
    new, written = merged(THEIRS, [context()])
    assert written.current == "home"
    for line in ("# my clusters", 'current-context: "home"', "# under the desk", "token: 'secret'"):
        assert line in new
    before, after = yaml.safe_load(THEIRS), yaml.safe_load(new)
    for section in ("clusters", "contexts", "users"):
        assert after[section][:1] == before[section]
        assert len(after[section]) == 2


def test_the_same_again_changes_nothing() -> None:
    once, _ = merged(THEIRS, [context()])
    twice, written = merged(once, [context()])
    assert twice == once
    assert written.unchanged == ("kubedemy/Admins",)


def test_a_name_of_somebody_else_is_not_taken() -> None:
    theirs = THEIRS.replace("name: home\nusers", "name: kubedemy/Admins\nusers")
    new, written = merged(theirs, [context()])
    assert written.added == ("231144931069/kubedemy/Admins",)
    assert yaml.safe_load(new)["contexts"][0] == yaml.safe_load(theirs)["contexts"][0]
    # Found by what it stands for, also when the person gave it another name.
    renamed = new.replace('name: "231144931069/kubedemy/Admins"', "name: mine")
    again, written = merged(renamed, [context(server="https://127.0.0.1:2")])
    assert written.changed == ("mine",)
    assert "https://127.0.0.1:2" in again


def test_no_name_left_is_said() -> None:
    theirs = THEIRS.replace("name: home\nusers", "name: a\nusers")
    with pytest.raises(KubeconfigError, match=r"every name for .* is taken by other contexts: a"):
        merged(theirs, [context(names=("a",))])


def test_one_cluster_with_two_roles_is_two_users() -> None:
    """aws-cli issue 4079: the second role overwrites the first."""
    new, _ = merged("", [context(), context(role="Readers")])
    found = yaml.safe_load(new)
    assert len(found["clusters"]) == 1
    assert len({one["name"] for one in found["users"]}) == 2


def test_prune_removes_only_its_own() -> None:
    both, _ = merged(THEIRS, [context(), context(role="Readers")], use=f"{ARN} Readers")
    one, written = merged(both, [context()], prune=True)
    assert written.removed == ("kubedemy/Readers",)
    assert written.current == ""
    none, _ = merged(one, [], prune=True)
    before, after = yaml.safe_load(THEIRS), yaml.safe_load(none)
    assert {key: after[key] for key in ("clusters", "contexts", "users")} == {
        key: before[key] for key in ("clusters", "contexts", "users")
    }


def test_the_namespace_that_a_person_chose_stays() -> None:
    new, _ = merged("", [context()])
    chosen = new.replace('    user: "rolecall', '    namespace: team-a\n    user: "rolecall', 1)
    assert yaml.safe_load(chosen)["contexts"][0]["context"]["namespace"] == "team-a"
    again, _ = merged(chosen, [context(server="https://127.0.0.1:2")])
    assert yaml.safe_load(again)["contexts"][0]["context"]["namespace"] == "team-a"


@pytest.mark.parametrize("text", ["a: [", "- a", "kind: Secret", "clusters: {}\nusers: x", "\t"])
def test_what_is_no_kubeconfig_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    if text == "\t":
        write_contexts([path], [context()])
        return
    with pytest.raises(KubeconfigError):
        write_contexts([path], [context()])
    assert path.read_text() == text


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config"
    threads = [
        threading.Thread(
            target=write_contexts, args=([path], [context(cluster=f"{ARN}{number}", names=(f"c{number}",))])
        )
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one["name"] for one in yaml.safe_load(path.read_text())["contexts"]) == [
        f"c{number}" for number in range(8)
    ]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(THEIRS)
    (tmp_path / "config").symlink_to(tmp_path / "real")
    write_contexts([tmp_path / "config"], [context()])
    assert (tmp_path / "config").is_symlink()
    assert "kubedemy/Admins" in (tmp_path / "real").read_text()


# PyYAML writes these three as they are, and its two readers disagree about them.
PLAIN = st.text(
    st.characters(exclude_characters="\x85\u2028\u2029", exclude_categories=["Cs"]), min_size=1, max_size=20
)


@given(
    st.dictionaries(
        st.sampled_from(["clusters", "contexts", "users"]),
        st.lists(
            st.fixed_dictionaries(
                {
                    "name": PLAIN,
                    "x": st.one_of(PLAIN, st.booleans(), st.integers(), st.none()),
                }
            ),
            max_size=4,
            unique_by=lambda one: one["name"],
        ),
    )
)
def test_any_file_keeps_its_entries(found: dict[str, list[dict[str, object]]]) -> None:
    text = dump_yaml({"apiVersion": "v1", "kind": "Config", **found})
    new, _ = merged(text, [context()])
    after = yaml.safe_load(new)
    for section, items in found.items():
        assert [one for one in after[section] if "rolecall" not in str(one)] == [
            one for one in items if "rolecall" not in str(one)
        ]


def kubectl(*arguments: object, kubeconfig: str, code: int | None = 0) -> str:
    done = subprocess.run(
        [KUBECTL, *map(str, arguments)],
        env={"KUBECONFIG": kubeconfig, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert code is None or done.returncode == code, done.stderr
    return done.stdout + done.stderr


EMPTY = "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n"
CLUSTER, USER, NAME = f"rolecall:{ARN}", f"rolecall:{ARN} Admins", "kubedemy/Admins"


def entries(*, cluster: bool = False, user: bool = False, own: bool = False, current: str = "") -> str:
    """A kubeconfig with some of the entries that are written, in an older state."""
    found: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": [], "users": []}
    if cluster:
        found["clusters"].append({"name": CLUSTER, "cluster": {"server": "https://old"}})
    if user:
        found["users"].append({"name": USER, "user": {"token": "old"}})
    if own:
        key = {"name": "rolecall", "extension": {"key": f"{ARN} Admins"}}
        found["contexts"].append({"name": NAME, "context": {"cluster": "old", "user": "old", "extensions": [key]}})
    return yaml.safe_dump(found | ({"current-context": current} if current else {}))


# The files a, b and c of KUBECONFIG=a:b:c before; what is not named is not there.
SEVERAL: list[dict[str, str]] = [
    {},
    {"a": EMPTY},
    {"b": EMPTY},
    {"b": EMPTY, "c": EMPTY},
    {"a": "", "b": entries(current="mine")},
    {"a": EMPTY, "b": entries(cluster=True, current="mine")},
    {"a": EMPTY, "b": entries(user=True), "c": entries(own=True, current="mine")},
    {"b": entries(own=True), "c": entries(cluster=True, user=True, own=True)},
    {"a": entries(cluster=True), "b": entries(user=True), "c": entries(own=True)},
]


@pytest.mark.parametrize("use", [False, True])
@pytest.mark.parametrize("before", SEVERAL)
def test_of_several_files_each_entry_is_written_where_kubectl_writes_it(
    tmp_path: Path, before: dict[str, str], use: bool
) -> None:
    """Kubernetes documentation, "Organizing Cluster Access": measured with kubectl, list by list."""
    folders = {"kubectl": tmp_path / "kubectl", "rolecall": tmp_path / "rolecall"}
    for folder in folders.values():
        folder.mkdir()
        for name, text in before.items():
            (folder / name).write_text(text)
    paths = {who: [folder / name for name in "abc"] for who, folder in folders.items()}
    variable = ":".join(map(str, paths["kubectl"]))
    kubectl("config", "set-cluster", CLUSTER, "--server=https://127.0.0.1:1", kubeconfig=variable)
    kubectl("config", "set-credentials", USER, "--exec-command=rolecall", "--exec-api-version=client.authentication.k8s.io/v1beta1", kubeconfig=variable)  # fmt: skip
    kubectl("config", "set-context", NAME, f"--cluster={CLUSTER}", f"--user={USER}", kubeconfig=variable)
    current = next((found["current-context"] for text in before.values() if "current-context" in (found := yaml.safe_load(text) or {})), "")  # fmt: skip
    if use or not current:
        kubectl("config", "use-context", NAME, kubeconfig=variable)
    environ = {"KUBECONFIG": ":".join(map(str, paths["rolecall"]))}
    written = write_contexts(kubeconfig_paths(environ), [context()], use=f"{ARN} Admins" if use else "")
    assert written.current == (NAME if use or not current else current)
    assert kubectl("config", "current-context", kubeconfig=environ["KUBECONFIG"]) == f"{written.current}\n"
    for theirs, ours in zip(paths["kubectl"], paths["rolecall"], strict=True):
        assert theirs.exists() == ours.exists()
        if theirs.exists():
            expected, found = (yaml.safe_load(path.read_text()) or {} for path in (theirs, ours))
            assert (found.get("current-context") or "") == (expected.get("current-context") or "")
            for section in ("clusters", "users", "contexts"):
                names = [[one["name"] for one in of.get(section) or ()] for of in (expected, found)]
                assert names[0] == names[1]
            assert [one["cluster"]["server"] for one in found["clusters"] or ()] == [
                one["cluster"]["server"] for one in expected["clusters"] or ()
            ]


def test_the_current_context_of_another_file_stays(tmp_path: Path) -> None:
    """civo/cli issue 52: whoever works in a context is not moved to another one."""
    (tmp_path / "b").write_text(THEIRS)
    written = write_contexts([tmp_path / "a", tmp_path / "b"], [context()])
    assert (written.current, (tmp_path / "a").exists()) == ("home", False)
    (tmp_path / "a").write_text("")
    written = write_contexts([tmp_path / "a", tmp_path / "b"], [context(role="Readers")])
    assert written.current == "home"
    assert "current-context" not in yaml.safe_load((tmp_path / "a").read_text() or "{}")


def test_prune_looks_at_every_file(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    write_contexts([a], [context()])
    write_contexts([b], [context(role="Readers"), context(role="Old")], use=f"{ARN} Old")
    written = write_contexts([a, b], [context()], prune=True)
    assert (written.removed, written.current) == (("kubedemy/Old", "kubedemy/Readers"), NAME)
    found = yaml.safe_load(b.read_text())
    assert (found["users"], found["contexts"], found["current-context"]) == ([], [], "")
    # Its cluster is in use by the context in the other file.
    assert len(found["clusters"]) == 1


def test_a_failure_in_one_file_leaves_all_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text(EMPTY)
    b.write_text(entries(own=True))
    real = kubeconfig.write_file

    def fails_for_b(path: Path, *rest: Any, **more: Any) -> None:
        if path == b:
            raise UnwritableError("cannot be written: No space left on device", where=str(path))
        real(path, *rest, **more)

    monkeypatch.setattr(kubeconfig, "write_file", fails_for_b)
    with pytest.raises(UnwritableError):
        write_contexts([a, b], [context()])
    assert (a.read_text(), b.read_text()) == (EMPTY, entries(own=True))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"KUBECONFIG": "a::b:a", "HOME": "/h"}, ["a", "b"]),
        ({"KUBECONFIG": "::", "HOME": "/h"}, ["/h/.kube/config"]),
        ({"KUBECONFIG": "~/x"}, ["~/x"]),  # as kubectl: the shell's business
        ({"HOME": "/h"}, ["/h/.kube/config"]),
    ],
)
def test_the_files_that_count(environment: dict[str, str], expected: list[str]) -> None:
    assert [str(path) for path in kubeconfig_paths(environment)] == expected


def test_without_a_home_folder_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """openshift/origin issue 23369: a container's user without a name and without HOME."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert kubeconfig_paths({}) == ()
    with pytest.raises(KubeconfigError, match="there is no home folder for a kubeconfig: HOME is not set"):
        default_path(())


# What a place can hold, and what kubectl 1.36 reads there without an error, by what it wants there.
VALUES = [
    "null", "~", "''", "text", "1", "1.5", "true", "no", "2020-01-01", "1e3", "089", "'no'", "[]", "{}", "[null]", "[1]",
    "[[]]", "[{}]", "{a: 1}", "[{name: a}]", "[{name: null}]", "[{name: 1}]", "[{name: no}]", "[{name: [a]}]",
    "[{name: 1e3}]",
]  # fmt: skip
NOTHING = {"null", "~"}
READ = {
    "text": NOTHING | {"''", "text", "2020-01-01", "'no'"},
    "list": NOTHING | {"[]", "[null]", "[{}]", "[{name: a}]", "[{name: null}]"},
    "mapping": NOTHING | {"{}", "{a: 1}"},
}
PLACES = [
    ("current-context: {0}", "text"),
    *((f"{section}: {{0}}", "list") for section in ("clusters", "users", "contexts")),
    *((f"{section}:\n- {{0}}", "mapping") for section in ("clusters", "users", "contexts")),
    *((f"{section}:\n- name: {{0}}", "text") for section in ("clusters", "users", "contexts")),
    *((f"{section}:\n- name: a\n  {section[:-1]}: {{0}}", "mapping") for section in ("clusters", "users", "contexts")),
    *((f"contexts:\n- name: a\n  context:\n    {key}: {{0}}", "text") for key in ("cluster", "user", "namespace")),
]
# Extensions hold anything, and the names of theirs are not looked at.
EXTENSIONS = "contexts:\n- name: a\n  context:\n    extensions:\n    - name: rolecall\n      extension: {0}"


def write_or_refuse(path: Path, text: str) -> str:
    """Why a text is refused; empty if a context was written into it."""
    path.write_bytes(text.encode())
    try:
        written = write_contexts([path], [context()])
    except KubeconfigError as error:
        place = re.fullmatch(rf"{re.escape(str(path))}:[1-9]\d*", error.where)
        unchanged = path.read_bytes() == text.encode()
        return error.what if place and unchanged else f"{error.where} {unchanged}"
    after = path.read_bytes()
    is_done = written.added == (NAME,) and after.count(b"#") == text.count("#")
    is_stable = write_contexts([path], [context()]).unchanged == (NAME,) and path.read_bytes() == after
    return "" if is_done and is_stable else f"not written: {written}"


def test_every_shape_is_written_if_kubectl_reads_it_and_refused_with_its_line_if_not(tmp_path: Path) -> None:
    """kic-reference-architectures issues 7 and 47."""
    written = []
    for place, wanted in PLACES:
        for value in VALUES:
            path = tmp_path / f"config-{len(written)}"
            why = write_or_refuse(path, f"{place.format(value)}\n")
            assert bool(why) == (value not in READ[wanted]), (place, value, why)
            if why:
                assert re.search(r" is .*, not (a list|a mapping|text \(put it in quotes\))$", why), (place, value, why)
            else:
                written.append(path)
    for value in VALUES:
        path = tmp_path / f"config-{len(written)}"
        assert write_or_refuse(path, f"{EXTENSIONS.format(value)}\n") == "", value
        written.append(path)
    shown = kubectl("config", "view", "-o", "jsonpath={.contexts[*].name}", kubeconfig=":".join(map(str, written)))
    assert NAME in shown


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "\t", "null", "~ # c", "{}", "---", "---\n...", "# c", "# c\n\n  # d", "--- # c\n# d", "\t# c",
        "users:\n-\ncontexts: []\nclusters: []", "users:\n- name: a # c\n- \n- name: b\n# d", "kind:\napiVersion:\n",
        "a: &a {b: c}\nclusters:\n- name: x\n  cluster: *a", "a: &a {b: c}\nusers:\n- name: x\n  user: {<<: *a}",
        '{"apiVersion": "v1", "kind": "Config", "users": [{"name": "a", "user": {"token": "b"}}]}', "%YAML 1.1\n---\nusers: []",
        "\ufeffkind: Config\nusers:\n- name: a\n", "users:\r\n- name: a # mine\r\n", "users:\n- name: a\n  user: {token: no}",
        "users:\n    - name: a\n      user:\n          token: b\n    # mine\n    - name: b", "# top\nusers: # none\nkind: Config # yes\n",
        "users:\n- name: a\n  user:\n    token: |\n      # not a comment\n      x\n",
    ],
)  # fmt: skip
def test_every_layout_is_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    assert write_or_refuse(path, text) == ""
    after = path.read_bytes().decode()
    assert after.startswith("\ufeff") == text.startswith("\ufeff")
    assert ("\r\n" in after) == ("\r\n" in text)
    assert not re.search(r"[^\r]\n", after) or "\r\n" not in text
    before = yaml.safe_load(text.replace("\t", " ")) or {}
    assert {key: value for key, value in yaml.safe_load(after).items() if key in before and key not in ("kind", "apiVersion")} == {
        key: [*(value or []), *(one for one in yaml.safe_load(after)[key] if str(one and one["name"]).startswith(("rolecall", "kubedemy")))] if isinstance(value, list | None) else value
        for key, value in before.items() if key not in ("kind", "apiVersion")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--- {}\n--- {}", "found another document"),
        ("clusters: []\nclusters: []", "found duplicate key"),
        ("kind: Secret", "is of kind 'Secret', not a kubeconfig"),
        ("kind: [a]", "is of kind"),
        ("users: [", "not YAML"),
        ("text", "is not a kubeconfig but text"),
        ("[]", "is not a kubeconfig but a list"),
        ("1", "is not a kubeconfig but a number"),
    ],
)
def test_what_is_not_a_kubeconfig_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    assert words in write_or_refuse(tmp_path / "config", text)


@pytest.mark.parametrize("dash", [0, 2, 4])
@pytest.mark.parametrize("step", [2, 4])
def test_the_layout_of_a_persons_entries_stays(tmp_path: Path, dash: int, step: int) -> None:
    path = tmp_path / "config"
    item, inner = " " * dash, " " * (dash + 2 + step)
    theirs = (
        f"apiVersion: v1\nkind: Config\nclusters:\n{item}# mine\n{item}- name: home\n{item}  cluster:\n{inner}server: https://10.0.0.1\n\n"
        f"users:\n{item}- name: me\n{item}  user: {{token: 'x'}}   # secret\ncontexts:\n{item}- name: home\n{item}  context:\n{inner}cluster: home\n"
    )  # fmt: skip
    path.write_text(theirs)
    write_contexts([path], [context()])
    assert [line for line in theirs.splitlines() if line not in path.read_text().splitlines()] == []


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_a_kubeconfig_in_json_stays_json(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "config"
    theirs = {"apiVersion": "v1", "kind": "Config", "users": [{"name": "a", "user": {"token": "\u00fc"}}]}
    path.write_text(json.dumps(theirs, indent=indent))
    write_contexts([path], [context()])
    found = json.loads(path.read_text())
    assert path.read_text() == json.dumps(found, indent=indent, ensure_ascii=False) + "\n"
    assert found["users"][0] == theirs["users"][0]
    assert NAME in kubectl("config", "get-contexts", "-o", "name", kubeconfig=str(path))
    assert write_contexts([path], [context()]).unchanged == (NAME,)


def test_a_comment_that_stood_behind_a_removed_entry_stays(tmp_path: Path) -> None:
    path = tmp_path / "config"
    write_contexts([path], [context(), context(role="Readers")])
    path.write_text(
        path.read_text().replace("- context:", "# mine\n- context:").replace("users:", "# mine too\nusers:")
    )
    write_contexts([path], [], prune=True)
    assert sorted(line for line in path.read_text().splitlines() if "#" in line) == ["# mine", "# mine", "# mine too"]


NAMES = ["no", "y", "on", "1e3", "012", "089", "0o17", "1:20", "1_000", "2020-01-01", "~", "null", "=", "<<", "-", "a: b", "a #b", "*a", "'", '"', "\U0001f600"]  # fmt: skip


@pytest.mark.parametrize("theirs", ["", EMPTY, '{"apiVersion": "v1", "kind": "Config"}\n'])
def test_kubectl_reads_every_name_as_text(tmp_path: Path, theirs: str) -> None:
    """terraform-aws-eks issue 287: Norway's profile. EKS allows such names of clusters, too."""
    path = tmp_path / "config"
    path.write_text(theirs)
    contexts = [
        Context((name,), name, name, "https://127.0.0.1:1", "Q0E=", Exec(name, (name, "-r", name), {"AWS_PROFILE": name}, name), name)
        for name in NAMES
    ]  # fmt: skip
    write_contexts([path], contexts, use="no")
    found = yaml.safe_load(kubectl("config", "view", "--raw", "-o", "json", kubeconfig=str(path)))
    assert found["current-context"] == "no"
    assert {one["name"] for one in found["contexts"]} == {*NAMES}
    for one in found["users"]:
        name, plugin = one["name"].removeprefix("rolecall:"), one["user"]["exec"]
        assert (plugin["command"], plugin["args"], plugin["env"]) == (
            name, [name, "-r", name], [{"name": "AWS_PROFILE", "value": name}],
        )  # fmt: skip
    for one in found["contexts"]:
        assert one["context"]["namespace"] == one["context"]["extensions"][0]["extension"]["key"] == one["name"]
    assert write_contexts([path], contexts).unchanged == tuple(sorted(NAMES))


@pytest.mark.skipif(not ROOT, reason="only root can give a file to somebody else")
def test_a_kubeconfig_under_sudo_stays_the_persons(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(THEIRS)
    path.chmod(0o640)
    os.chown(path, 1000, 1001)
    write_contexts([path], [context()])
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1000, 1001, 0o640)


def test_a_device_for_a_kubeconfig_is_refused_and_has_no_lock(tmp_path: Path) -> None:
    make_device(tmp_path / "null")
    (tmp_path / "b").write_text(THEIRS)
    for paths in ([tmp_path / "null"], [tmp_path / "null", tmp_path / "b"], [tmp_path / "b", tmp_path / "null"]):
        with pytest.raises(UnwritableError, match="is a device, not a file"):
            write_contexts(paths, [context()])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["b", "null"]
    assert (tmp_path / "b").read_text() == THEIRS
    assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)


def test_a_kubeconfig_that_is_mounted_into_a_container_is_written_in_place(tmp_path: Path) -> None:
    """kubernetes issue 67676: rename(2) gives EBUSY. The lock is made beside the mount point, as kubectl makes it."""
    real, folder = tmp_path / "real", tmp_path / "home"
    folder.mkdir()
    real.write_text(THEIRS)
    (folder / "config").write_text("")
    code = (
        "import sys; from pathlib import Path; from rolecall.local_files.kubeconfig import *\n"
        "context = Context(('a',), 'key', 'c', 'https://127.0.0.1:1', 'Q0E=', Exec('rolecall', ()))\n"
        "print(write_contexts([Path(sys.argv[1])], [context]).added)"
    )
    done = in_private_mounts([(real, folder / "config")], code, str(folder / "config"))
    assert done.stdout == "('a',)\n"
    assert [one["name"] for one in yaml.safe_load(real.read_text())["contexts"]] == ["home", "a"]
    assert [one.name for one in folder.iterdir()] == ["config"]
