import posixpath

from hypothesis import given
from hypothesis import strategies as st

from scheduler.model import names
from scheduler.model.errors import WireError

SEGMENT = st.text(min_size=1, max_size=20).filter(lambda s: not names.bad_segment(s) and s.isprintable())
PATH = st.lists(SEGMENT, min_size=1, max_size=8).map(lambda segments: "/" + "/".join(segments))


@given(PATH)
def test_what_is_encoded_is_decoded_to_the_same_path(path):
    assert names.from_request(names.encode(path)) == path


@given(st.text(max_size=200))
def test_a_request_path_becomes_normal_or_is_refused(raw):
    try:
        path = names.from_request(raw)
    except WireError as error:
        assert error.code == "InvalidResource"
    else:
        assert path == posixpath.normpath(path)
        assert "\0" not in path
        assert len(path.encode()) <= names.MAX_PATH_BYTES


@given(st.text(max_size=200))
def test_an_absolute_input_line_becomes_normal(line):
    path = names.from_input_line("/" + line)
    assert names.from_input_line(path) == path
    assert ".." not in path.split("/")


@given(PATH)
def test_split_and_join_are_inverse(path):
    directory, name = names.split(path)
    assert posixpath.join(directory, name) == path
