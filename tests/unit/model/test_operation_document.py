"""Documents of operations: what is refused, in which words, and the stages that follow."""

import shlex

import pytest

from scheduler.model.errors import WireError
from scheduler.model.job import JobSpec, parse_job
from scheduler.model.operations.document import Mode
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.operations.stage import ONE, STAGE_RULES

MAP = {"type": "map", "inputs": ["/jill/stor/logs/"], "spec": {"exec": "wc"}}
MERGE = {"type": "merge", "inputs": ["/jill/stor/a"], "output": {"path": "/jill/stor/all/"}}
ERASE = {"type": "erase", "inputs": ["/jill/stor/a"]}
SORT = {"type": "sort", "inputs": ["/jill/stor/a"]}
REDUCE = {"reducer": {"exec": "uniq -c"}}
COUNT = {"type": "map_reduce", "inputs": ["/jill/stor/a"], "spec": REDUCE}
REDUCED = {"type": "reduce", "inputs": ["/jill/stor/in"]}
BY_1 = {"exec": "wc", "reduce_by": ["1,1"]}


def refused(document) -> str:
    with pytest.raises(WireError) as caught:
        parse_job(document)
    assert (caught.value.status, caught.value.code) == (400, "InvalidJob")
    return caught.value.message


def stages(document) -> list[tuple[str, str]]:
    return [(str(stage.kind), stage.phase.exec) for stage in parse_job(document).operation.stages]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (
            {"type": "sum"},
            '"type": does not have a value in the enumeration pipeline, map, merge, erase, sort, reduce, map_reduce',
        ),
        ({"type": 3}, '"type": does not have a value in the enumeration pipeline, map, merge, erase, sort'),
        (MAP | {"phases": []}, '"phases": is not for type "map"'),
        (MAP | {"spec": {}}, '"spec.exec": is missing and it is required'),
        (MAP | {"spec": {"exec": ""}}, '"spec.exec": must be at least 1 characters long'),
        (MAP | {"speck": 1}, '"speck": unsupported property'),
        (MAP | {"spec": {"exec": "wc", "n": 1}}, '"spec.n": unsupported property'),
        (MAP | {"spec": {"exec": "wc", "task_count": 0}}, '"spec.task_count": must have a minimum value of 1'),
        (
            MAP | {"spec": {"exec": "wc", "task_count": 100_001}},
            '"spec.task_count": must have a maximum value of 100000',
        ),
        (
            MAP | {"spec": {"exec": "wc", "task_count": 2, "per_object": True}},
            '"spec.task_count": is not for tasks of one object each',
        ),
        (MAP | {"spec": {"exec": "wc", "image": "99.1.0"}}, '"spec.image": unsupported version: "99.1.0"'),
        (MAP | {"inputs": []}, '"inputs": there must be a minimum of 1 in the array'),
        (MAP | {"inputs": ["a"]}, '"inputs[0]": "a" is not the path of an object or a directory'),
        (MAP | {"inputs": ["/jill/stor/../x"]}, '"inputs[0]": "/jill/stor/../x" is not the path of an object or a'),
        (MAP | {"output": {}}, '"output.path": is missing and it is required'),
        (
            MAP | {"output": {"path": "/jill/stor/a", "mode": "append"}},
            '"output.mode": append is for a set, a path that ends in a slash',
        ),
        (
            MAP | {"output": {"path": "/jill/stor/a/", "as": "object"}},
            '"output.as": "/jill/stor/a/" is a directory, for it ends in a slash',
        ),
        (MAP | {"max_failed_attempts": 0}, '"max_failed_attempts": must have a minimum value of 1'),
        (MAP | {"stderr": {"count": 151}}, '"stderr.count": must have a maximum value of 150'),
        (MAP | {"annotations": {"a": "x" * 10_240}}, '"annotations": must be at most 10240 characters of JSON'),
        ({"type": "merge", "inputs": ["/jill/stor/a"]}, '"output": is missing and it is required'),
        (MERGE | {"spec": {"part_size": 5}}, '"spec.part_size": is for combine, which rewrites the parts'),
        (ERASE | {"output": {"path": "/jill/stor/b"}}, '"output": is not for type "erase"'),
        ({"type": "erase"}, '"inputs": is missing and it is required'),
        (ERASE | {"inputs": ["/jill/stor/a", "/jill/stor/b"]}, '"inputs[1]": erase has one input'),
        (ERASE | {"spec": {"lines": "5"}}, '"spec.lines": "5" is no range of lines'),
        (ERASE | {"spec": {"lines": "0-5"}}, '"spec.lines": "0-5" begins at line 0: the first line is 1'),
        (ERASE | {"spec": {"lines": "7-5"}}, '"spec.lines": "7-5" is no range of lines: it ends before it begins'),
        (
            SORT | {"spec": {"sort_by": ["1", "2,1x"]}},
            '"spec.sort_by[1]": "2,1x" is no key: x is none of b d f g h i M',
        ),
        (SORT | {"spec": {"flags": "nM"}}, '"spec.flags": "nM" are no flags: n and M exclude each other'),
        (SORT | {"spec": {"separator": ",,"}}, '"spec.separator": must be one byte'),
        (
            SORT | {"output": {"path": "/jill/stor/s/", "mode": "append"}},
            '"output.mode": append is not for a sort: what is there already would not be sorted with it',
        ),
        (SORT | {"spec": {"check": True}, "output": {"path": "/jill/stor/s"}}, '"output": is not for a check: what it'),
        (SORT | {"spec": {"check": True, "partition_count": 2}}, '"spec.partition_count": is not for a check'),
        (SORT | {"spec": {"partition_count": 5001}}, '"spec.partition_count": must have a maximum value of 5000'),
        (MERGE | {"spec": {"sort_by": ["1"]}}, '"spec.sort_by": is for mode "sorted"'),
        (MERGE | {"spec": {"mode": "sorted", "combine": True}}, '"spec.combine": is not for sorted inputs'),
        (COUNT | {"spec": {}}, '"spec.reducer": is missing and it is required'),
        (COUNT | {"spec": REDUCE | {"reducer": {}}}, '"spec.reducer.exec": is missing and it is required'),
        (COUNT | {"spec": REDUCE | {"combiner": {"exec": "x", "memory": 256}}}, '"spec.combiner.memory": unsupported'),
        (
            COUNT | {"spec": REDUCE | {"reduce_by": ["2,2"], "sort_by": ["1,1", "2,2"]}},
            '"spec.reduce_by": must be the beginning of spec.sort_by',
        ),
        (COUNT | {"spec": REDUCE | {"selectivity": "x"}}, '"spec.selectivity": string value found, but a number is'),
        (COUNT | {"spec": REDUCE | {"selectivity": 0}}, '"spec.selectivity": must be from 0.001 to 1000'),
        (COUNT | {"spec": REDUCE | {"intermediate": "node"}}, '"spec.intermediate": is for what a mapper prints'),
        (REDUCED | {"spec": {}}, '"spec.exec": is missing and it is required'),
        (REDUCED | {"spec": BY_1 | {"sort_by": ["2,2"]}}, '"spec.reduce_by": must be the beginning of spec.sort_by'),
        (REDUCED | {"spec": BY_1 | {"join_by": ["1,1"]}}, '"spec.foreign": is missing and it is required with'),
        (
            REDUCED | {"spec": BY_1 | {"foreign": ["/jill/stor/d"]}},
            '"spec.join_by": is missing and it is required with',
        ),
        (
            REDUCED | {"spec": BY_1 | {"join_by": ["2,2"], "foreign": ["/jill/stor/d"]}},
            '"spec.join_by": must be the beginning of spec.reduce_by',
        ),
        (
            REDUCED | {"spec": BY_1 | {"foreign": ["/jill/stor/d"] * 101}},
            '"spec.foreign": there must be a maximum of 100',
        ),
        (REDUCED | {"spec": BY_1 | {"pivot_keys": []}}, '"spec.pivot_keys": there must be 1 to 4999 in the array'),
        (REDUCED | {"spec": BY_1 | {"pivot_keys": ["a\nb"]}}, '"spec.pivot_keys[0]": a pivot is one line'),
        (REDUCED | {"spec": BY_1 | {"pivot_keys": ["a" * 33_000]}}, '"spec.pivot_keys": must be at most 32 KiB'),
        (
            REDUCED | {"spec": BY_1 | {"pivot_keys": ["a"], "task_count": 2}},
            '"spec.task_count": is not for tasks between pivots',
        ),
        (
            COUNT | {"spec": REDUCE | {"per_object": True, "task_size": 5}},
            '"spec.task_size": is not for tasks of one object each',
        ),
        (
            COUNT | {"spec": {"reducer": {"exec": "wc", "image": "99.1.0"}}},
            '"spec.reducer.image": unsupported version: "99.1.0"',
        ),
        (ERASE | {"spec": {"lines": "#5:#5"}}, '"spec.lines": "#5:#5" is no range of lines: it ends before it begins'),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(document, sentence):
    assert refused(document).startswith(f"property {sentence}")


def test_a_pipeline_may_say_that_it_is_one_and_is_recorded_as_before():
    phases = [{"exec": "wc"}]
    assert parse_job({"type": "pipeline", "phases": phases}) == parse_job({"phases": phases})
    assert "type" not in parse_job({"type": "pipeline", "phases": phases}).document


def test_a_recorded_document_gives_the_same_operation():
    spec = parse_job(MAP)
    assert JobSpec.of(spec.document) == spec
    assert spec.document == {"name": "", "stage_rules": STAGE_RULES} | MAP


def test_a_set_is_made_of_what_the_tasks_print_and_an_object_of_all_together():
    assert stages(MAP | {"output": {"path": "/jill/stor/out/"}}) == [("map", "wc")]
    assert stages(MAP | {"output": {"path": "/jill/stor/out"}}) == [("map", "wc"), ("concat", "cat")]
    one = {"exec": "wc", "task_count": 1}
    assert stages(MAP | {"output": {"path": "/jill/stor/out"}, "spec": one}) == [("map", "wc")]


def test_a_merge_reads_nothing_unless_it_is_to_rewrite():
    assert (stages(MERGE), parse_job(MERGE).operation.links) == ([], True)
    assert stages(MERGE | {"spec": {"combine": True}}) == [("ordered_merge", "cat")]
    assert stages(MERGE | {"output": {"path": "/jill/stor/all"}}) == [("ordered_merge", "cat")]


def test_a_sort_is_a_sample_a_partition_and_a_sort_within_their_memory():
    spec = {"sort_by": ["2,2rn", "1.3"], "flags": "f", "separator": "'", "unique": True, "memory": 256}
    order = "-k2,2nr -k1.3 -f '-t'\"'\"'' -u"
    sample = f'set -o pipefail; msort --sample 8 | msort --borders "$REMORA_PARTITIONS" {order} -S179M'
    divide = f'mpartition --partitions "$REMORA_PARTITIONS" --borders /assets/borders {order} -S96M'
    assert stages(SORT | {"spec": spec})[:3] == [
        ("sample", sample),
        ("partition", divide),
        ("sort", f"msort {order} -S179M"),
    ]


def test_a_header_is_read_before_and_a_check_is_all_there_is():
    assert [kind for kind, _ in stages(SORT | {"spec": {"header": True}})] == ["header", "sample", "partition", "sort"]
    assert stages(SORT | {"spec": {"check": True, "flags": "n"}}) == [("check", "msort -c -n 2>&1 || [ $? -eq 1 ]")]


def test_sorted_inputs_are_merged_between_borders():
    sample = 'set -o pipefail; msort --sample 8 | msort --borders "$REMORA_PARTITIONS" -k1,1 -S716M'
    merge = 'mmerge --handed -k1,1 --borders /assets/borders --partition "$MANTA_TASK_NUMBER" -S96M'
    merged = parse_job(MERGE | {"spec": {"mode": "sorted", "sort_by": ["1,1"]}}).operation
    assert [(stage.kind, stage.phase.exec) for stage in merged.stages] == [("sample", sample), ("sorted_merge", merge)]
    assert (merged.partitioning.partitions(1 << 30), merged.failures.most) == (4, 1)
    whole = parse_job(MERGE | {"spec": {"mode": "sorted"}, "output": {"path": "/jill/stor/all"}}).operation
    assert whole.partitioning.partitions(1 << 40) == 1


def test_a_reduce_is_a_merge_of_a_range_of_keys_that_a_command_reads():
    spec = {"exec": "uniq -c", "reduce_by": ["1,1"], "sort_by": ["1,1", "2,2n"], "memory": 512}
    group = 'mmerge --handed -k1,1 -k2,2n -s --borders /assets/borders --partition "$MANTA_TASK_NUMBER" --keys 1'
    assert stages(REDUCED | {"spec": spec})[1] == ("sorted_reduce", f"{group} --run 'uniq -c'")
    pivots = stages(REDUCED | {"spec": {"exec": "wc", "reduce_by": ["1,1"], "pivot_keys": ["b", "c'd"]}})
    prepared = "printf '%s\\n' b 'c'\"'\"'d' > pivots && msort -c -u -k1,1 -s pivots && "
    merge = 'mmerge --handed -k1,1 -s --borders pivots --partition "$MANTA_TASK_NUMBER" --keys 1 --run wc'
    assert pivots == [("sorted_reduce", prepared + merge)]


def test_output_that_must_be_sorted_is_checked_by_what_divides_it():
    spec = {"reducer": {"exec": "uniq"}, "mapper": {"exec": "cat"}, "reduce_by": ["1,1"], "sorted_output": True}
    check = 'mmerge -k1,1 -s --borders /assets/borders --partition "$MANTA_TASK_NUMBER"'
    assert [command for _, command in stages(COUNT | {"spec": spec})] == [
        'msort --sample 8 | bash -c cat | msort --borders "$REMORA_PARTITIONS" -k1,1 -s -S716M',
        'mpartition --partitions "$REMORA_PARTITIONS" -k1,1 -s --borders /assets/borders --run cat',
        f"set -o pipefail; msort -k1,1 -s -S409M --run uniq | {check}",
    ]


def test_a_map_reduce_is_a_partition_and_a_reduce_around_the_users_commands():
    spec = {
        "mapper": {"exec": "tr ' ' '\n'"},
        "combiner": {"exec": "uniq -c"},
        "reducer": {"exec": "awk 1", "memory": 512},
        "reduce_by": ["2,2n"],
        "sort_by": ["2,2n", "1,1r"],
    }
    combine = "msort -k2,2n -k1,1r -s -S409M --run 'uniq -c'"
    command = f"set -o pipefail; bash -c {shlex.quote(spec['mapper']['exec'])} | {combine}"
    assert stages(COUNT | {"spec": spec}) == [
        ("partition_map", f'mpartition --partitions "$REMORA_PARTITIONS" -k2,2n --run {shlex.quote(command)}'),
        ("partition_reduce", "msort -k2,2n -k1,1r -s -S204M --run 'awk 1'"),
    ]
    assert stages(COUNT)[0] == ("partition_map", 'mpartition --partitions "$REMORA_PARTITIONS"')


def test_what_a_mapper_prints_is_kept_where_no_node_can_lose_it():
    def keeps(spec):
        return parse_job(COUNT | {"spec": REDUCE | spec}).operation.stages[0].phase.keeps_on_node

    assert keeps({})
    assert not keeps({"mapper": {"exec": "cat"}})
    assert keeps({"mapper": {"exec": "cat"}, "intermediate": "node"})


@pytest.mark.parametrize(
    ("spec", "total", "partitions"),
    [
        ({}, 0, 1),
        ({}, 127 << 20, 1),
        ({}, 128 << 20, 2),  # of 64 MiB or more: two processors sort them in less time than one
        ({}, 410 << 20, 6),
        ({}, 6 << 30, 16),
        ({}, 20 << 30, 51),
        ({"memory": 128}, 410 << 20, 9),
        ({}, 1 << 60, 5000),
        ({"partition_count": 3}, 10, 3),
        ({"partition_count": 3}, 0, 1),
        ({"partition_size": 1 << 20}, 10 << 20, 10),
        ({"partition_size": 400 << 20}, 1 << 30, 3),
    ],
)
def test_partitions_fit_into_the_memory_of_an_instance(spec, total, partitions):
    assert parse_job(SORT | {"spec": spec}).operation.partitioning.partitions(total) == partitions


def test_a_sort_that_an_earlier_release_recorded_keeps_its_stages():
    """Its phases are on record, one for each stage, and some may be over."""
    spec = parse_job(SORT | {"output": {"path": "/jill/stor/sorted"}})
    assert [stage.kind for stage in spec.operation.stages] == ["sample", "partition", "sort", "sorted_merge", "concat"]
    recorded = {key: value for key, value in spec.document.items() if key != "stage_rules"}
    earlier = JobSpec.of(recorded).operation
    assert [stage.kind for stage in earlier.stages] == ["sample", "partition", "sort", "concat"]
    assert earlier.stages[2].cut == ONE
    assert earlier.partitioning.partitions(1 << 30) == 16


@pytest.mark.parametrize(
    ("spec", "total", "partitions"),
    [
        ({}, 4 << 30, 1),
        ({}, (4 << 30) + 1, 16),
        ({"memory": 128, "task_size": 1 << 20}, 1 << 30, 1),
        ({"partition_count": 3}, 1 << 30, 3),
        ({"partition_size": 400 << 20}, 1 << 30, 3),
        ({"header": True}, 1 << 30, 16),
        ({"header": False}, 1 << 30, 1),
    ],
)
def test_a_sort_into_one_object_divides_only_what_is_not_merged(spec, total, partitions):
    document = SORT | {"spec": spec, "output": {"path": "/jill/stor/sorted"}}
    assert parse_job(document).operation.partitioning.partitions(total) == partitions


@pytest.mark.parametrize(
    ("spec", "total", "partitions"),
    [
        ({}, 0, 1),
        ({}, 200 << 20, 3),
        ({"selectivity": 0.25}, 200 << 20, 1),
        ({}, 100 << 30, 256),
        ({"partition_size": 400 << 20}, 1 << 30, 3),
        ({"partition_count": 1}, 1 << 30, 1),
    ],
)
def test_partitions_of_a_map_reduce_are_enough_for_a_few_nodes(spec, total, partitions):
    assert parse_job(COUNT | {"spec": REDUCE | spec}).operation.partitioning.partitions(total) == partitions


def test_both_notations_of_lines_erase_the_same():
    assert stages(ERASE | {"spec": {"lines": "11-100"}}) == stages(ERASE | {"spec": {"lines": "#10:#100"}})
    assert stages(ERASE | {"spec": {"lines": "11-100"}}) == [("rewrite", "LC_ALL=C sed 11,100d")]


def test_an_erased_input_is_its_own_output():
    output = parse_job(ERASE).operation.output
    assert (output.path, output.mode, output.whole) == ("/jill/stor/a", Mode.REPLACE, True)
    assert not parse_job(ERASE | {"inputs": ["/jill/stor/a/"]}).operation.output.whole


def test_a_reason_of_another_version_is_unknown():
    assert AbortReason.read("preemption") is AbortReason.PREEMPTION
    assert AbortReason.read("sunspots") is AbortReason.UNKNOWN
    assert AbortReason.read(None) is AbortReason.OTHER
