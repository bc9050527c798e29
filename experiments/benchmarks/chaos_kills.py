"""Kills a command many times, runs it again each time, and compares the end."""

import contextlib
import math
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import IO, Any, NamedTuple

# Of every five kills, the last one waits until a file is being written.
_AIMED = 5
# A kill comes at most this many seconds after its moment was reached.
_JITTER, _JITTER_IN_WRITE = 0.3, 0.005


class Subject(NamedTuple):
  """A command that is killed, and what its folder shows.

  Attributes:
    name: short name, as in the results.
    what: what the command does, for the table.
    command: folder -> the arguments of the command.
    prepare: makes what the folder holds before the first start.
    kept: folder -> amount of work that a restart does not repeat, such as the
      step of the newest checkpoint; None for commands that start anew.
    unfinished: folder -> the files of a write that is in progress, or was cut
      by a kill, with their times.
    problem: folder -> what is half-written or lost after a kill, or None.
    digest: (folder, standard output) -> text that the same result gives.
  """

  name: str
  what: str
  command: Callable[[pathlib.Path], list[str]]
  prepare: Callable[[pathlib.Path], Any]
  kept: Callable[[pathlib.Path], int] | None
  unfinished: Callable[[pathlib.Path], frozenset]
  problem: Callable[[pathlib.Path], str | None]
  digest: Callable[[pathlib.Path, str], str]


class Started(NamedTuple):
  """A command that runs; its output goes to files, which never fill up."""

  process: subprocess.Popen
  output: IO[str]
  errors: IO[str]

  def end(self) -> tuple[int, str, str]:
    """Waits for its end; returns the exit code and both outputs."""
    code = self.process.wait()
    texts = []
    for file in (self.output, self.errors):
      file.seek(0)
      texts.append(file.read())
      file.close()
    return code, *texts


def start(command: list[str]) -> Started:
  """Starts a command."""
  output = tempfile.TemporaryFile('w+')  # noqa: SIM115 - `end` closes it
  errors = tempfile.TemporaryFile('w+')  # noqa: SIM115
  process = subprocess.Popen(command, stdout=output, stderr=errors)
  return Started(process, output, errors)


def torment(
  subject: Subject, folder: pathlib.Path, kills: int, seed: int
) -> dict[str, Any]:
  """Runs a command once without and once with kills; compares both ends.

  Kill number i comes in the i-th part of the work that is kept, or in the i-th
  part of the time of the undisturbed run.

  Args:
    subject: what is killed.
    folder: folder for both runs.
    kills: number of kills, if the run does not finish before.
    seed: seed of the moments of the kills.

  Raises:
    RuntimeError: the command fails although nothing disturbs it.
  """
  calm, killed = folder / 'calm', folder / 'killed'
  for place in (calm, killed):
    place.mkdir(parents=True)
    subject.prepare(place)
  began = time.monotonic()
  wanted = _finish(subject, calm)
  seconds = time.monotonic() - began
  total = subject.kept(calm) if subject.kept else seconds
  moments = random.Random(seed)
  done, in_write, kept, problems = 0, 0, [], []
  while done < kills:
    share = (done + moments.random()) / kills
    is_aimed = done % _AIMED == _AIMED - 1
    # What earlier kills left behind is no write of this run.
    remains = subject.unfinished(killed)
    started = start(subject.command(killed))
    latest = (done + 1) / kills * total
    least = _wait(
      subject,
      killed,
      started.process,
      (share * total, latest),
      remains if is_aimed else None,
    )
    time.sleep(moments.uniform(0, _JITTER_IN_WRITE if is_aimed else _JITTER))
    if started.process.poll() is not None:
      _output(started)
      if subject.kept:
        break
      total *= 0.9  # The run is faster than the undisturbed one.
      continue
    kill(started)
    done += 1
    in_write += bool(subject.unfinished(killed) - remains)
    problem = subject.problem(killed)
    if subject.kept:
      if kept and least < kept[-1]:
        problem = f'{kept[-1] - least} of {kept[-1]} are lost'
      kept.append(subject.kept(killed))
    if problem:
      problems.append(f'kill {done}: {problem}')
  end = _finish(subject, killed)
  return {
    'name': subject.name,
    'what': subject.what,
    'kills': done,
    'in_a_write': in_write,
    'kept_after_each_kill': kept,
    'kept_at_the_end': total if subject.kept else None,
    'seconds_undisturbed': seconds,
    'problems': problems,
    'is_identical': end == wanted != '',
    'sha256': wanted,
  }


def _finish(subject: Subject, folder: pathlib.Path) -> str:
  """Runs the command to its end and returns the digest of its result."""
  return subject.digest(folder, finish(subject.command(folder)))


def finish(command: list[str]) -> str:
  """Runs a command to its end; returns its standard output.

  Raises:
    RuntimeError: it fails.
  """
  return _output(start(command))


def _output(started: Started) -> str:
  code, output, errors = started.end()
  if code:
    raise RuntimeError(
      f'{started.process.args} ended with code {code}: {errors[-2000:]}'
    )
  return output


def _wait(
  subject: Subject,
  folder: pathlib.Path,
  process: subprocess.Popen,
  moments: tuple[float, float],
  remains: frozenset | None,
) -> float:
  """Waits for the moment of a kill, or until the process ends.

  Args:
    subject: what is killed.
    folder: its folder.
    process: its process.
    moments: the earliest one, and the latest one of a kill in a write; in work
      that is kept, or in seconds.
    remains: what was unfinished before the start, to wait for another write;
      None does not wait for a write.

  Returns:
    The least work that was seen to be kept meanwhile.
  """
  began = time.monotonic()
  least = math.inf

  is_aimed = remains is not None

  def is_writing() -> bool:
    return bool(subject.unfinished(folder) - remains)

  def reached() -> bool:
    nonlocal least
    if is_aimed and not subject.kept:
      return is_writing()
    now = subject.kept(folder) if subject.kept else time.monotonic() - began
    least = min(least, now)
    if is_aimed and now < moments[1]:
      return now >= moments[0] and is_writing()
    return now >= moments[0]

  while process.poll() is None and not reached():
    time.sleep(0.0002 if is_aimed else 0.01)
  return least


def stamps(paths: Iterable[pathlib.Path]) -> frozenset:
  """Returns the paths with the times of their last change."""
  found = set()
  for path in paths:
    with contextlib.suppress(FileNotFoundError):  # It was moved meanwhile.
      found.add((str(path), path.stat().st_mtime_ns))
  return frozenset(found)


def kill(started: Started) -> None:
  """Kills a command and its children at once, as a machine that fails does."""
  process = started.process
  process.send_signal(signal.SIGSTOP)  # It starts no other child meanwhile.
  children = _children(process.pid)
  for number in (process.pid, *children):
    os.kill(number, signal.SIGKILL)
  started.end()
  while any(map(_is_alive, children)):
    time.sleep(0.01)


def _children(parent: int) -> list[int]:
  """Returns the processes that a process has started (Linux only)."""
  found = []
  for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
    try:
      after_name = path.read_text().rpartition(')')[2].split()
    except OSError:  # It ended meanwhile.
      continue
    if int(after_name[1]) == parent:
      found.append(int(path.parent.name))
  return found


def _is_alive(number: int) -> bool:
  try:
    text = pathlib.Path(f'/proc/{number}/stat').read_text()
  except OSError:
    return False
  return text.rpartition(')')[2].split()[0] not in 'ZX'
