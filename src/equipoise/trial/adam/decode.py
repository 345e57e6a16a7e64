"""The separate process in which SAS7BDAT and Parquet files are decoded (see :mod:`equipoise.trial.adam.tabular`).

Called with the job, as JSON, as its first argument; leaves ``frame.arrow``, ``answer.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> int:
    """Decode one file; 0 where ``answer.json`` says what became of it."""
    job: dict[str, Any] = json.loads(sys.argv[1])
    _limit(int(job["bytes"]))
    try:
        answer = _parquet(job) if job["kind"] == "Parquet" else _sas(job)
    except MemoryError:
        answer = {"error": "asks for more memory than is allowed", "hint": "the file is damaged, or very large"}
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        answer = {"error": f"not a readable {job['kind']} file ({lines[0][:200]})", "hint": "the file is damaged"}
    (Path(job["out"]) / "answer.json").write_text(json.dumps(answer))
    return 0


def _limit(size: int) -> None:
    try:
        import resource
    except ImportError:  # not a POSIX system: the time limit alone holds
        return
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _too_large(job: dict[str, Any], rows: int, columns: int) -> dict[str, Any] | None:
    if rows > job["rows"] or columns > job["columns"] or rows * columns > job["cells"]:
        return {"error": f"claims {rows} rows of {columns} variables", "hint": f"at most {job['cells']} cells are read"}
    return None


def _parquet(job: dict[str, Any]) -> dict[str, Any]:
    import polars as pl

    path = job["path"]
    lazy = pl.scan_parquet(path, glob=False)
    rows, columns = int(lazy.select(pl.len()).collect().item()), len(lazy.collect_schema())
    large = _too_large(job, rows, columns)
    if large:
        return large
    frame = pl.read_parquet(path, glob=False)
    text = sum(int(frame[c].str.len_bytes().sum()) for c in frame.columns if frame[c].dtype == pl.String)
    if text > job["text"]:
        return {"error": f"expands to {text} bytes of text", "hint": f"at most {job['text']} are read"}
    frame.write_ipc(Path(job["out"]) / "frame.arrow")
    metadata = {k: v for k, v in pl.read_parquet_metadata(path).items() if k != "ARROW:schema"}
    return {"metadata": metadata}


def _sas(job: dict[str, Any]) -> dict[str, Any]:
    import polars as pl
    import pyreadstat

    extra = {"encoding": job["encoding"]} if job["encoding"] else {}
    _, meta = pyreadstat.read_sas7bdat(job["path"], metadataonly=True, output_format="dict", **extra)
    large = _too_large(job, int(meta.number_rows or 0), int(meta.number_columns or 0))
    if large:
        return large
    values, meta = pyreadstat.read_sas7bdat(
        job["path"], output_format="dict", disable_datetime_conversion=True, **extra
    )
    columns = []
    for name in meta.column_names:
        if meta.readstat_variable_types[name] == "string":
            columns.append(pl.Series(name, [v if isinstance(v, str) else None for v in values[name]], dtype=pl.String))
        else:
            columns.append(pl.Series(name, [None if v is None else float(v) for v in values[name]], dtype=pl.Float64))
    pl.DataFrame(columns).write_ipc(Path(job["out"]) / "frame.arrow")
    return {
        "name": meta.table_name,
        "label": meta.file_label,
        "variables": [
            {
                "label": label,
                "format": meta.original_variable_types.get(name),
                "length": meta.variable_storage_width.get(name),
            }
            for name, label in zip(meta.column_names, meta.column_labels, strict=True)
        ],
    }


if __name__ == "__main__":
    raise SystemExit(main())
