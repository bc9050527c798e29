"""The metrics log that a training run writes: metrics.jsonl."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from hyperrec import whole_file


class MetricsLog:
  """One JSON object a record: {"step": 100, "loss": ...}, flushed at once.

  It is a context manager. When a run is resumed, records after `step` and a
  line that a crash left incomplete are dropped, so that no step occurs twice.
  """

  def __init__(self, path: str | pathlib.Path, step: int = 0):
    """Opens `path` after `step` steps, making its folder where missing."""
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
    """Appends a record; NaN and infinity become null, as JSON has neither."""
    record = {'step': int(step)}
    for name, value in metrics.items():
      number = float(value)
      record[name] = number if math.isfinite(number) else None
    self._file.write(json.dumps(record) + '\n')
    self._file.flush()


def read_metrics(path: str | pathlib.Path) -> list[dict[str, Any]]:
  """The records of a metrics.jsonl, in order."""
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
  """Total training time of a run in seconds, over all its resumptions.

  Each resumption restarts the clock of the records at 0.
  """
  total = last = 0.0
  for seconds in (r['seconds'] for r in records if 'seconds' in r):
    total += seconds - last if seconds >= last else seconds
    last = seconds
  return total
