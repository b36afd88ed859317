from hypothesis import given
from hypothesis import strategies as st

from scheduler.agent.pools.reopened_outputs import asset_may_reopen, names_output, script_may_reopen

OUTPUTS = st.sampled_from([b"/dev/stdout", b"/dev/stderr", b"/dev/fd/1", b"/dev/$x", b"/proc/self/fd/1", b"dev//fd/2"])
HARMLESS = st.sampled_from(
    ["wc", "2>/dev/null", "</dev/null", "if=/dev/zero;", "/devel/x", "dev", ">&2", "process", "."]
)


@given(st.binary(max_size=200), OUTPUTS, st.binary(max_size=200))
def test_the_name_of_an_output_is_found_wherever_it_begins_a_word(before, name, after):
    assert names_output(before + b" " + name + after)
    assert asset_may_reopen(before + b">" + name + after)


@given(st.lists(HARMLESS, max_size=20))
def test_words_that_name_no_output_are_no_reason_together_either(words):
    text = " ".join([*words, "x"])
    assert not script_may_reopen(text)
    assert not asset_may_reopen(text.encode())
