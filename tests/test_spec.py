"""Specs on the command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.spec import MethodSpec, parse_method_spec, split_list


def test_full_form() -> None:
    spec = parse_method_spec("sct@org/model[queue_size=16,views=pairs]")
    assert spec == MethodSpec("sct", "org/model", (("queue_size", "16"), ("views", "pairs")))


def test_nested_spec_and_lists_split_outside_brackets_only() -> None:
    text = "whitening[kind=zca,of=simcse[lr=1e-4]],mteb:MTEB(eng, v2),sct"
    assert split_list(text) == [
        "whitening[kind=zca,of=simcse[lr=1e-4]]",
        "mteb:MTEB(eng, v2)",
        "sct",
    ]
    assert dict(parse_method_spec(split_list(text)[0]).options)["of"] == "simcse[lr=1e-4]"


@pytest.mark.parametrize(
    "text", ["", "[a=1]", "sct@", "sct[queue]", "sct[=1]", "sct[a=1,a=2]", "a b", "sct[a=(]"]
)
def test_malformed_specs_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_method_spec(text)


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@given(names, st.dictionaries(names, st.from_regex(r"[a-z0-9.]{1,6}", fullmatch=True)))
def test_a_spec_survives_its_own_text(name: str, options: dict[str, str]) -> None:
    spec = MethodSpec(name, None, tuple(sorted(options.items())))
    assert parse_method_spec(str(spec)) == spec
