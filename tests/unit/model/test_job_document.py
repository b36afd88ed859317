"""Job documents: the published messages, one by one, and what a valid document means."""

import math

import pytest

from scheduler.model.errors import WireError
from scheduler.model.job import parse_job
from scheduler.model.semver import newest
from scheduler.model.tiers import IMAGES

MAP = {"exec": "wc"}


def refusal(body) -> str:
    with pytest.raises(WireError) as caught:
        parse_job(body)
    assert (caught.value.status, caught.value.code) == (400, "InvalidJob")
    return caught.value.message


def phase(**keys):
    return {"phases": [MAP | keys]}


MEMORY = "does not have a value in the enumeration 128, 256, 512, 1024, 2048, 4096, 8192"
DISK = "does not have a value in the enumeration 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024"
TYPE = "does not have a value in the enumeration storage-map, map, reduce"
REFUSED = [
    (None, "job must not be null"),
    ({}, 'property "phases": is missing and it is required'),
    ({"phases": 7}, 'property "phases": number value found, but a array is required'),
    ({"phases": {}}, 'property "phases": object value found, but a array is required'),
    ({"phases": "x"}, 'property "phases": string value found, but a array is required'),
    ({"phases": True}, 'property "phases": boolean value found, but a array is required'),
    ({"phases": None}, 'property "phases": object value found, but a array is required'),
    ({"phases": []}, 'property "phases": there must be a minimum of 1 in the array'),
    (
        {"phases": [MAP] * 101},
        'property "phases": there must be a maximum of 100 in the array: make several jobs of them',
    ),
    (
        {"phases": [MAP | {"type": "reduce", "count": 128}] * 17},
        'property "phases": 2176 reducers in all, a job has at most 2048: make several jobs',
    ),
    ({"phases": [None]}, 'property "phases[0]": must not be null'),
    ({"phases": ["wc"]}, 'property "phases[0]": string value found, but a object is required'),
    ({"phases": [7]}, 'property "phases[0]": number value found, but a object is required'),
    ({"phases": [[MAP]]}, 'property "phases[0]": array value found, but a object is required'),
    ({"phases": [MAP, {}]}, 'property "phases[1].exec": is missing and it is required'),
    ({"phases": [{"exec": 3}]}, 'property "phases[0].exec": number value found, but a string is required'),
    ({"phases": [{"exec": None}]}, 'property "phases[0].exec": object value found, but a string is required'),
    ({"phases": [{"exec": ["wc"]}]}, 'property "phases[0].exec": object value found, but a string is required'),
    ({"phases": [{"exec": ""}]}, 'property "phases[0].exec": must be at least 1 characters long'),
    (phase(exec="a\0b"), 'property "phases[0].exec": must not contain a NUL character'),
    (phase(junk=1), 'property "phases[0].junk": unsupported property'),
    ({"phases": [MAP], "junk": 1}, 'property "junk": unsupported property'),
    ({"phases": [MAP], "options": {}}, 'property "options": unsupported property'),
    *((phase(type=value), f'property "phases[0].type": {TYPE}') for value in ("sort", "Map", "", 1, None, ["map"])),
    (phase(count=129), 'property "phases[0].count": must have a maximum value of 128'),
    (phase(timeout=0), 'property "phases[0].timeout": must have a minimum value of 1'),
    (phase(timeout=10**9), 'property "phases[0].timeout": must have a maximum value of 31536000'),
    (phase(timeout="5m"), 'property "phases[0].timeout": string value found, but a integer is required'),
    (phase(timeout=1.5), 'property "phases[0].timeout": number value found, but a integer is required'),
    (phase(retries=-1), 'property "phases[0].retries": must have a minimum value of 0'),
    (phase(retries=101), 'property "phases[0].retries": must have a maximum value of 100'),
    (phase(retries=True), 'property "phases[0].retries": boolean value found, but a integer is required'),
    (phase(count=0), 'property "phases[0].count": must have a minimum value of 1'),
    (phase(count=1.5), 'property "phases[0].count": number value found, but a integer is required'),
    (phase(count=math.inf), 'property "phases[0].count": number value found, but a integer is required'),
    (phase(count=2.0), 'property "phases[0].count": number value found, but a integer is required'),
    (phase(count="2"), 'property "phases[0].count": string value found, but a integer is required'),
    (phase(count="two"), 'property "phases[0].count": string value found, but a integer is required'),
    (phase(type="reduce", count="2"), 'property "phases[0].count": string value found, but a integer is required'),
    (phase(count=True), 'property "phases[0].count": boolean value found, but a integer is required'),
    (phase(count=None), 'property "phases[0].count": object value found, but a integer is required'),
    (phase(count=[1]), 'property "phases[0].count": object value found, but a integer is required'),
    *(
        (phase(memory=value), f'property "phases[0].memory": {MEMORY}')
        for value in (1000, "1024", 1024.0, True, None, [1024])
    ),
    *((phase(disk=value), f'property "phases[0].disk": {DISK}') for value in (3, 2048, "8", 8.0, True, None, {"8": 8})),
    (phase(assets=["/jill/stor/a\0"]), 'property "phases[0].assets[0]": must not contain a NUL character'),
    (phase(image="newest"), 'property "phases[0].image": invalid semver range: "newest"'),
    (phase(image=""), 'property "phases[0].image": must be at least 1 characters long'),
    (phase(image="1" * 257), f'property "phases[0].image": invalid semver range: "{"1" * 257}"'),
    (phase(image=">=99"), 'property "phases[0].image": unsupported version: ">=99"'),
    (phase(assets=[1]), 'property "phases[0].assets[0]": number value found, but a string is required'),
    (phase(assets="x"), 'property "phases[0].assets": string value found, but a array is required'),
    (phase(init=1), 'property "phases[0].init": number value found, but a string is required'),
    (phase(assets=[1, "x", None]), 'property "phases[0].assets[0]": number value found, but a string is required'),
    (phase(assets=["x", None]), 'property "phases[0].assets[1]": object value found, but a string is required'),
    (phase(init=None), 'property "phases[0].init": object value found, but a string is required'),
    (phase(image=16), 'property "phases[0].image": number value found, but a string is required'),
    (phase(image="16.2"), 'property "phases[0].image": unsupported version: "16.2"'),
    (phase(uarg=1), 'property "phases[0].uarg": number value found, but a object is required'),
    ({"phases": [MAP], "name": 7}, 'property "name": number value found, but a string is required'),
    ({"phases": [MAP], "name": None}, 'property "name": object value found, but a string is required'),
    ({"phases": [MAP], "transient": "no"}, 'property "transient": string value found, but a boolean is required'),
]


@pytest.mark.parametrize(("body", "message"), REFUSED, ids=[message[:60] for _, message in REFUSED])
def test_a_bad_document_is_refused_with_the_published_message(body, message):
    assert refusal(body) == message


def test_defaults_are_those_of_the_reference():
    (spec,) = parse_job({"phases": [MAP]}).phases
    assert (spec.reduce, spec.memory_mb, spec.disk_gb, spec.assets, spec.init) == (False, 1024, 8, (), None)
    assert newest(IMAGES, spec.image) == "16.1.0"


def test_a_reduce_phase_has_one_reducer_unless_told():
    spec = parse_job({"phases": [MAP | {"type": "reduce"}, MAP | {"type": "reduce", "count": 4}]})
    assert [phase.reducers for phase in spec.phases] == [1, 4]


def test_a_phase_may_limit_the_time_of_its_tasks_and_have_them_tried_again():
    first, second = parse_job({"phases": [MAP | {"timeout": 300, "retries": 2}, MAP]}).phases
    assert (first.timeout_s, first.retries) == (300, 2)
    assert (second.timeout_s, second.retries) == (None, 0)


def test_count_on_a_map_phase_is_ignored():
    assert parse_job(phase(count=3)).phases[0].reducers == 0


def test_the_document_comes_back_as_submitted_with_type_present():
    body = {"phases": [MAP | {"type": "storage-map", "uarg": {"a": 1}}, {"type": "reduce", "exec": "x", "count": 2}]}
    shown = parse_job(body).document["phases"]
    assert shown == [MAP | {"uarg": {"a": 1}, "type": "map"}, {"type": "reduce", "exec": "x", "count": 2}]


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("*", "16.1.0"), ("x", "16.1.0"), ("13.1.*", "13.1.0"), ("13.x", "13.3.6"), ("13", "13.3.6"),
        ("~13.3.4", "13.3.6"), ("~> 13.3.4", "13.3.6"), ("^13.1", "13.3.6"), ("^ 13.1.0", "13.3.6"),
        ("=13.3.4", "13.3.4"), ("v13.3.4", "13.3.4"), ("13.3.4+5", "13.3.4"), ("<16", "13.3.6"), (">13.3", "16.1.0"),
        (">= 13.3.5", "16.1.0"), ("<=13.1", "13.1.0"), (">=13.3.4 <13.3.6", "13.3.5"), ("13 - 13.2", "13.1.0"),
        ("13.1.0 - 13.3.5", "13.3.5"), ("13.1.0 || 13.3.5", "13.3.5"), ("99||13.1.0", "13.1.0"),
        ("<16.1.0-rc.1", "13.3.6"), (">13.3.6-rc.1", "16.1.0"), ("~13.3.4-rc.1", "13.3.6"),
    ],
)  # fmt: skip
def test_an_image_range_picks_the_newest_that_fits(text, image):
    assert newest(IMAGES, parse_job(phase(image=text)).phases[0].image) == image


@pytest.mark.parametrize(
    "text",
    [
        *("newest", "13.1.0.0", "13,1", "13..1", "013", "13.1.", ".1", ">", "-", "13 -", "13 - 14 15", "13|14"),
        *("13.1-rc", "13.1.0-", "13.1.0-01", "13.1.0+", "1\u0663", "9007199254740992", "1" * 5000),
    ],
)
def test_what_is_no_range_of_images_is_refused_with_the_published_message(text):
    assert refusal(phase(image=text)) == f'property "phases[0].image": invalid semver range: "{text}"'


@pytest.mark.parametrize("text", ["99", ">16.1.0", "<13.1.0", ">13.3.6 <16", "13.3.4-rc.1", ">*", "<*", "16 - 13"])
def test_a_range_that_no_image_is_in_is_refused_with_the_published_message(text):
    assert refusal(phase(image=text)) == f'property "phases[0].image": unsupported version: "{text}"'
