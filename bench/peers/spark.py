"""Apache Spark, a data engine on the JVM: a session of this machine, and a keyed count by its `pipe()`.

It is left out where the package (`pip install pyspark`) or Java is not installed. The whole count runs in the JVM, and
each of its tasks pipes its sorted lines through `uniq -c`, as a reduce task does: no Python between them.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.peers import installed, silent

CORES = 2
NAME = f"Spark's pipe(), {CORES} cores"
Count = Callable[[Sequence[Path], Path], None]


def is_installed() -> bool:
    return importlib.util.find_spec("pyspark") is not None and installed("java") is not None


@contextmanager
def session(directory: Path, memory: str) -> Iterator[Count]:
    """A session that keeps its files in `directory`; it counts equal lines of some files into a text file."""
    builder: Any = import_module("pyspark.sql").SparkSession.builder.master(f"local[{CORES}]")
    settings = {
        "spark.driver.memory": memory,
        "spark.local.dir": directory,
        "spark.sql.shuffle.partitions": CORES,
        "spark.sql.warehouse.dir": directory,
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    for key, value in settings.items():
        builder = builder.config(key, str(value))
    with silent(1, 2):  # it warns of host names
        spark = builder.getOrCreate()
    encoders = spark._jvm.org.apache.spark.sql.Encoders

    def count(files: Sequence[Path], target: Path) -> None:
        parts = directory / "parts"
        lines = spark.read.text([str(file) for file in files])
        met = lines.repartition(CORES, "value").sortWithinPartitions("value")
        getattr(met._jdf, "as")(encoders.STRING()).toJavaRDD().pipe("uniq -c").saveAsTextFile(str(parts))
        with open(target, "wb") as whole:
            for part in sorted(parts.glob("part-*")):
                whole.write(part.read_bytes())
        shutil.rmtree(parts)

    try:
        yield count
    finally:
        spark.stop()
