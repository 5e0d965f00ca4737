"""A table's rows, whatever kind of file has them."""

from collections.abc import Iterator
from pathlib import Path

from training.data.own.csv_frames import csv_frames
from training.data.own.frame import Frame
from training.data.own.jsonl_frames import jsonl_frames
from training.data.own.parquet_frames import parquet_frames
from training.data.own.settings import TableData
from training.errors import DataInvalid


def frames(data: TableData) -> Iterator[Frame]:
    """Give the rows in order; raises DataInvalid where the file cannot be read or lacks a column."""
    path = Path(data.path)
    match path.suffix:
        case ".csv":
            return csv_frames(path, data.columns, data.separator)
        case ".jsonl" | ".ndjson":
            return jsonl_frames(path, data.columns)
        case ".parquet":
            return parquet_frames(path, data.columns)
    raise DataInvalid(f"'{path}': the name of a table ends in .csv, .jsonl, .ndjson or .parquet")


def place(data: TableData, number: int) -> str:
    """Say where a row is: a line of a text, counted from 1 with its head, or a row."""
    return f"'{data.path}' {'row' if Path(data.path).suffix == '.parquet' else 'line'} {number}"
