"""Sections of aws-auth in many styles, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

names_of_principals = st.sampled_from(["a", "b-c", "Dev", "x/y", "Ops"])
words = st.sampled_from(
    ["system:masters", "team a", "123", "yes", "{{SessionName}}", "é", "it's", "dev:{{AccountID}}", "x"]
)


@st.composite
def entries(draw: st.DrawFn, key: str) -> tuple[str, str]:
    """An entry's ARN and its lines, without the dash, in some style."""
    arn = f"arn:aws:iam::111111111111:{key.removesuffix('arn')}/{draw(names_of_principals)}"
    quote = draw(st.sampled_from(["'", '"']))

    def value(text: str) -> str:
        plain = text.replace(":", "").replace("/", "").isalpha() and text not in ("yes",) and text.isascii()
        return (
            text if plain and draw(st.booleans()) else quote + text.replace("'", "''" if quote == "'" else "'") + quote
        )

    names = draw(st.lists(words, max_size=3))
    if draw(st.booleans()):
        groups = [
            "groups: [" + ", ".join(quote + n.replace("'", "''" if quote == "'" else "'") + quote for n in names) + "]"
        ]
    else:
        indent = draw(st.sampled_from(["", "  ", "    "]))
        groups = ["groups:", *(f"{indent}- {value(n)}{draw(st.sampled_from(['', ' # why']))}" for n in names)]
        if names and draw(st.booleans()):
            groups.insert(1, f"{indent}# a note")
    spelled = draw(st.sampled_from([key, key, key.upper()]))
    fields = [
        [f"{spelled}: {value(arn)}"],
        [f"username: {value(draw(words))}"],
        groups,
        ["team: {name: x, contact: '1'}"],
        ["note: |", "  text", "", "  more"],
    ]
    chosen = draw(st.permutations(fields[: draw(st.integers(2, 5))]))
    return arn, "\n".join(line for field in chosen for line in field)


@st.composite
def sections(draw: st.DrawFn, key: str = "rolearn") -> tuple[list[str], str]:
    """ARNs and the text of a section."""
    found = draw(st.lists(entries(key), max_size=4))
    indent, wide = draw(st.sampled_from(["", "  "])), draw(st.sampled_from([2, 4]))
    lines: list[str] = []
    for _, body in found:
        lines += draw(st.lists(st.sampled_from(["", "# a comment", f"{indent}# - rolearn: old", "   "]), max_size=2))
        first, *rest = body.split("\n")
        if draw(st.booleans()):
            lines.append(f"{indent}-{' ' * (wide - 1)}{first}")
        else:
            lines += [f"{indent}-  # its own line", f"{indent}{' ' * wide}{first}"]
        lines += [f"{indent}{' ' * wide}{line}" if line else "" for line in rest]
    lines += draw(st.lists(st.sampled_from(["", "# end"]), max_size=2))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    # A text block at the very end without a line break would gain one: that is refused, and tested apart.
    open_block = bool(lines) and lines[-1].strip() in ("more", "")
    text = end.join(lines) + (end if lines and (open_block or draw(st.booleans())) else "")
    return [arn for arn, _ in found], text
