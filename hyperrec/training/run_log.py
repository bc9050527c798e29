"""The log of metrics that a training run writes: metrics.jsonl."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from hyperrec import whole_file


class MetricsLog:
  """A log with one JSON object per record: {"step": 100, "loss": ...}.

  Each record is flushed at once. The log is a context manager. When a run is
  resumed, records after `step` and a line that a crash left incomplete are
  dropped, so that no step occurs twice.
  """

  def __init__(self, path: str | pathlib.Path, step: int = 0):
    """Opens the log of a run.

    Args:
      path: the file; its folder is created if it does not exist.
      step: steps done so far; later records are dropped.
    """
    path = pathlib.Path(path)
    kept = _lines_until(path, step) if path.exists() else []
    whole_file.write_whole(path, ''.join(kept).encode())
    self._file = path.open('a')

  def __enter__(self) -> 'MetricsLog':
    return self

  def __exit__(self, *unused: Any) -> None:
    del unused
    self._file.close()

  def write(self, step: int, metrics: Mapping[str, float]) -> None:
    """Appends a record; NaN and infinity become null, since JSON lacks them."""
    record = {'step': int(step)}
    for name, value in metrics.items():
      number = float(value)
      record[name] = number if math.isfinite(number) else None
    self._file.write(json.dumps(record) + '\n')
    self._file.flush()


def read_metrics(path: str | pathlib.Path) -> list[dict[str, Any]]:
  """Reads the records of a metrics.jsonl, in their order."""
  lines = pathlib.Path(path).read_text().splitlines()
  return [json.loads(line) for line in lines]


def _lines_until(path: pathlib.Path, step: int) -> list[str]:
  kept = []
  for line in path.read_text().splitlines(keepends=True):
    try:
      record = json.loads(line)
    except json.JSONDecodeError:
      break
    if record['step'] <= step:
      kept.append(line)
  return kept


def training_seconds(records) -> float:
  """Returns the training time of a run in seconds, including resumptions.

  In the records, the field `seconds` restarts from 0 at each resumption.
  """
  total = last = 0.0
  for seconds in (r['seconds'] for r in records if 'seconds' in r):
    total += seconds - last if seconds >= last else seconds
    last = seconds
  return total
