import pytest

from scheduler.model import dates


@pytest.mark.parametrize(
    ("ms", "iso", "rfc"),
    [
        (0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
        (1369244383714, "2013-05-22T17:39:43.714Z", "Wed, 22 May 2013 17:39:43 GMT"),
        (4102444799999, "2099-12-31T23:59:59.999Z", "Thu, 31 Dec 2099 23:59:59 GMT"),
    ],
)
def test_times_are_written_and_read_back(ms, iso, rfc):
    assert dates.iso(ms) == iso
    assert dates.rfc1123(ms) == rfc
    assert dates.parse_iso(iso) == ms
    assert dates.parse_rfc1123(rfc) == ms // 1000 * 1000


@pytest.mark.parametrize(
    "text",
    ["", "now", "Wed, 22 Mai 2013 17:39:43 GMT", "Wed, 32 May 2013 17:39:43 GMT", "Wed, 22 May 2013 17:39:43 CET",
     "Wed, 22 May 2013 17:39:61 GMT", "Wed, 22 May ２０１３ 17:39:43 GMT", "2013-05-22T17:39:43.714Z"],
)  # fmt: skip
def test_what_is_no_http_date_is_none(text):
    assert dates.parse_rfc1123(text) is None


def test_an_iso_date_without_a_zone_is_utc():
    assert dates.parse_iso("1970-01-01T00:00:01") == 1000
    assert dates.parse_iso("1970-01-01T01:00:01+01:00") == 1000
    assert dates.parse_iso("yesterday") is None
