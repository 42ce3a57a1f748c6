"""Row tables: one `rows.parquet` a folder, read whole, written with fixed options so that equal rows give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from sgpo_worker.child.failures import TaskFailure

ROWS = "rows.parquet"
_ROW_GROUP_ROWS = 16_384


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


Row = dict[str, Any]

GENERATIONS = pa.schema(
    [
        ("id", pa.string()),
        ("pos", pa.int64()),
        ("text", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("drop_reason", pa.string()),
    ]
)
SCORES = pa.schema(
    [
        ("id", pa.string()),
        ("pos", pa.int64()),
        ("sum_logprob", pa.float64()),
        ("tokens", pa.int32()),
        ("end_logprob", pa.float64()),
        ("chrf", pa.float64()),
        ("drop_reason", pa.string()),
    ]
)


def read_rows(folder: Path, *choices: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
    """The rows of a table in file order, with the columns of the one of `choices` that the table has in full.

    Those of `optional` are read where the table has them.

    Raises `TaskFailure` DATASET.UNREADABLE, or DATASET.WRONG_COLUMNS when it has none of them or more than one.
    """
    path = folder / ROWS
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise TaskFailure(
            "DATASET.UNREADABLE",
            "invalid",
            f"table {folder.name}/{ROWS} cannot be read as Parquet: {error}",
            f"Publish the table again as one Parquet file named {ROWS}.",
        ) from error
    with file:
        names = file.schema_arrow.names
        fitting = [columns for columns in choices if set(columns) <= set(names)]
        if len(fitting) != 1:
            missing = [[name for name in columns if name not in names] for columns in choices]
            raise TaskFailure(
                "DATASET.WRONG_COLUMNS",
                "invalid",
                f"table {folder.name}/{ROWS} has columns {names}; missing: {' or '.join(str(absent) for absent in missing)}",
                f"Give the table the columns {' or else '.join(str(list(columns)) for columns in choices)}.",
            )
        rows: list[Row] = file.read(columns=[*fitting[0], *(name for name in optional if name in names)]).to_pylist()
    return rows


def answer_text(row: Row, column: str) -> str:
    """The text of `row[column]`, which must be one assistant message. Raises `TaskFailure` DATASET.WRONG_COLUMNS."""
    messages: list[Message] = row[column]
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise TaskFailure(
            "DATASET.WRONG_COLUMNS",
            "invalid",
            f"row {row['id']}: {column} has the roles {[message['role'] for message in messages]}",
            f"Put one assistant message into {column}, and earlier turns into prompt.",
        )
    return messages[0]["content"]


def write_rows(folder: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> None:
    """Writes `rows.parquet` into `folder`; a row must have every column of `schema`."""
    columns = [pa.array([row[field.name] for row in rows], type=field.type) for field in schema]
    pq.write_table(
        pa.Table.from_arrays(columns, schema=schema),
        folder / ROWS,
        row_group_size=_ROW_GROUP_ROWS,
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
        version="2.6",
        data_page_version="1.0",
    )


def blocks_of(rows: Sequence[Row], block_rows: int) -> list[list[int]]:
    """Indices of `rows` by block: equal floor(pos / block_rows), blocks in order of first appearance."""
    blocks: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        blocks.setdefault(row["pos"] // block_rows, []).append(index)
    return list(blocks.values())
