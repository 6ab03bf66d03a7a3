"""Contexts written into a file that belongs to a person.

Source of the format: Kubernetes documentation, "kubeconfig (v1)".
"""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rolecall.local_files.kubeconfig import Context, Exec, KubeconfigError, merged, write_contexts

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


def test_a_new_file_is_one_that_kubectl_reads(tmp_path: Path) -> None:
    path = tmp_path / "kube" / "config"
    written = write_contexts(path, [context()])
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
    renamed = new.replace("name: 231144931069/kubedemy/Admins", "name: mine")
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
    chosen = new.replace("    user: rolecall", "    namespace: team-a\n    user: rolecall", 1)
    assert yaml.safe_load(chosen)["contexts"][0]["context"]["namespace"] == "team-a"
    again, _ = merged(chosen, [context(server="https://127.0.0.1:2")])
    assert yaml.safe_load(again)["contexts"][0]["context"]["namespace"] == "team-a"


@pytest.mark.parametrize("text", ["a: [", "- a", "kind: Secret", "clusters: {}\nusers: x", "\t"])
def test_what_is_no_kubeconfig_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    if text == "\t":
        write_contexts(path, [context()])
        return
    with pytest.raises(KubeconfigError):
        write_contexts(path, [context()])
    assert path.read_text() == text


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config"
    threads = [
        threading.Thread(target=write_contexts, args=(path, [context(cluster=f"{ARN}{number}", names=(f"c{number}",))]))
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
    write_contexts(tmp_path / "config", [context()])
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
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **found}, allow_unicode=True)
    new, _ = merged(text, [context()])
    after = yaml.safe_load(new)
    for section, items in found.items():
        assert [one for one in after[section] if "rolecall" not in str(one)] == [
            one for one in items if "rolecall" not in str(one)
        ]
