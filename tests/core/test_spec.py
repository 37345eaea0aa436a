"""Specs on the command line."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.core.errors import UsageError
from bench.core.spec import MethodSpec, parse_method_spec, split_list


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


@pytest.mark.parametrize("text", ["api[prompt=a: ]", "api[prompt=a: ,model=m]", "sct[a=1 ,b=2]"])
def test_a_blank_that_would_be_cut_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="ends with a blank; quote it"):
        parse_method_spec(text)
    quoted = parse_method_spec('api[model=m,prompt="a: "]')
    assert dict(quoted.options)["prompt"] == "a: "


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@given(names, st.dictionaries(names, st.from_regex(r"[a-z0-9.]{1,6}", fullmatch=True)))
def test_a_spec_survives_its_own_text(name: str, options: dict[str, str]) -> None:
    spec = MethodSpec(name, None, tuple(sorted(options.items())))
    assert parse_method_spec(str(spec)) == spec


@pytest.mark.parametrize(
    "folder",
    [
        "a,b",
        "a[1]",
        "a]b",
        "[x",
        "a b",
        "./it's",
        'say "hi"',
        '"',
        "a(1",
        "a@b",
        "a=b,c",
        " a",
        "a,",
    ],
)
def test_folders_of_any_name_can_be_written(folder: str) -> None:
    quoted = '"' + folder.replace('"', '""') + '"'
    text = f"sbert@{quoted}[pooling=cls],good,truncate[dim=4,of=sbert@{quoted}],x[base={quoted}]"
    plain, good, wrapped, based = map(parse_method_spec, split_list(text))
    assert plain == MethodSpec("sbert", folder, (("pooling", "cls"),))
    assert good == MethodSpec("good")
    assert parse_method_spec(dict(wrapped.options)["of"]).checkpoint == folder
    assert dict(based.options) == {"base": folder}
    for spec in (plain, wrapped, based):
        assert split_list(str(spec)) == [str(spec)]
        assert parse_method_spec(str(spec)) == spec


@pytest.mark.parametrize(
    "text",
    ["sbert@org/model", "simcse@./it's (1)", "sct[of=a[b=c,d=e],x=f(g,h)]", 'sbert@5"disk'],
)
def test_what_needs_no_quotation_marks_gets_none(text: str) -> None:
    assert split_list(text) == [text]
    assert str(parse_method_spec(text)) == text


@pytest.mark.parametrize(
    "text", ["sbert@a[1]", "sbert@a]", 'sbert@"a', "sct[a=[1]", "sct[base=[x]"]
)
def test_errors_of_brackets_tell_of_quotation_marks(text: str) -> None:
    with pytest.raises(UsageError, match="quot"):
        parse_method_spec(split_list(text)[0])


anything = st.text(st.sampled_from(',[]()"=@ ab./'), min_size=1, max_size=8)


@given(st.none() | anything, st.dictionaries(names, anything))
@example(None, {"a": '"""', "b": '"'})
@example(None, {"a": '"""', "b": ","})
@example('"""', {"b": "]"})
def test_any_checkpoint_and_values_survive_their_own_text(
    checkpoint: str | None, options: dict[str, str]
) -> None:
    spec = MethodSpec("sbert", checkpoint, tuple(sorted(options.items())))
    assert split_list(f"good,{spec},good") == ["good", str(spec), "good"]
    assert parse_method_spec(str(spec)) == spec
    wrapped = MethodSpec("truncate", None, (("of", str(spec)),))
    assert parse_method_spec(str(wrapped)) == wrapped
