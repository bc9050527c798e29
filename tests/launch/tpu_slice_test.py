"""Cloud TPU, made up: slices that come, go, and are taken away."""

import subprocess

import pytest

from launch import preemptible, sweep, tpu_slice

WANTED = tpu_slice.Slice('p', 'z', 'v5litepod-8', 'r', True, None, True)
ONCE = ['request', 'state', 'copy', 'install', 'run']

(RUN,) = sweep.runs('m', ['x.flags'])


class Cloud:
  """Answers commands; `states` of the slice and `codes` of the run in turn."""

  def __init__(self, states, codes):
    self.states, self.codes, self.asked = list(states), list(codes), []

  def __call__(self, command):
    own = tpu_slice.commands(RUN, WANTED)
    what = next(name for name, line in own.items() if line == command)
    self.asked.append(what)
    if what == 'state':
      state = self.states.pop(0)
      return tpu_slice.Done(0 if state else 1, f'{state}\n')
    return tpu_slice.Done(self.codes.pop(0) if what == 'run' else 0)


def serve(cloud, retries=3):
  waits = []
  return tpu_slice.serve(RUN, WANTED, retries, cloud, waits.append), len(waits)


def test_a_slice_that_is_taken_away_is_requested_anew():
  states = ['WAITING_FOR_RESOURCES', 'ACTIVE', 'SUSPENDED', 'ACTIVE']
  cloud = Cloud(states, [255, 0])
  assert serve(cloud) == (0, 2)
  again = ['request', 'state', 'state', 'copy', 'install', 'run', 'state']
  assert cloud.asked == [*again, 'release', *ONCE, 'release']


def test_a_run_that_was_told_to_stop_is_not_done():
  cloud = Cloud(['ACTIVE', 'ACTIVE'], [preemptible.STOPPED, 0])
  assert serve(cloud) == (0, 0)
  assert cloud.asked == [*ONCE, 'release', *ONCE, 'release']


def test_a_run_that_fails_by_itself_is_not_run_again():
  cloud = Cloud(['ACTIVE', 'ACTIVE'], [7])
  assert serve(cloud)[0] == 7
  assert cloud.asked == [*ONCE, 'state', 'release']


def test_a_slice_that_is_always_lost_ends():
  cloud = Cloud(['FAILED'] * 3, [])
  assert serve(cloud, retries=2)[0] == 1
  assert cloud.asked.count('release') == 3


def test_one_unanswered_question_ends_nothing():
  cloud = Cloud(['', 'PROVISIONING', '', 'ACTIVE'], [0])
  assert serve(cloud) == (0, 3)


def test_a_slice_is_released_whatever_happens():
  cloud = Cloud(['ACTIVE'], [])  # the run itself raises: no code is left
  with pytest.raises(IndexError):
    serve(cloud)
  assert cloud.asked[-1] == 'release'


def test_what_hosts_run_is_whole_shell():
  own = tpu_slice.commands(RUN, WANTED._replace(setup='sudo mount a:/b /c'))
  for step in ('setup', 'install', 'run'):
    line = own[step][-1].removeprefix('--command=')
    subprocess.run(['bash', '-n', '-c', line], check=True)
  assert own['run'][-1].endswith('-m m --flagfile=x.flags --multihost')
  alone = tpu_slice.commands(RUN, WANTED._replace(multihost=False))
  assert alone['run'][-1].endswith('-m m --flagfile=x.flags')
