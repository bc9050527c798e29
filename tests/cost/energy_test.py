"""Counters of energy: real where there are any, here of a made-up folder."""

import time

import pytest

from hyperrec.cost import energy, measure


def zone(folder, name, what, joules, wraps_at=1000):
  """Writes a counter as Linux shows it."""
  place = folder / name
  place.mkdir(exist_ok=True)
  (place / 'name').write_text(f'{what}\n')
  (place / 'energy_uj').write_text(f'{int(joules * 1e6)}\n')
  (place / 'max_energy_range_uj').write_text(f'{int(wraps_at * 1e6)}\n')


def test_packages_and_their_memory_count_and_parts_of_them_do_not(tmp_path):
  readings = []
  for joules in (10, 40):
    zone(tmp_path, 'intel-rapl:0', 'package-0', joules)
    zone(tmp_path, 'intel-rapl:1', 'package-1', joules + 1)
    zone(tmp_path, 'intel-rapl:0:0', 'core', 5 * joules)
    zone(tmp_path, 'intel-rapl:0:1', 'dram', joules / 2)
    zone(tmp_path, 'intel-rapl:2', 'psys', 9 * joules)
    readings.append(energy.read(tmp_path))
  assert set(readings[0]) == {'intel-rapl:0', 'intel-rapl:1', 'intel-rapl:0:1'}
  assert energy.between(*readings) == pytest.approx(30 + 30 + 15)


def test_a_counter_that_started_again_is_read_as_going_on(tmp_path):
  zone(tmp_path, 'intel-rapl:0', 'package-0', 990)
  before = energy.read(tmp_path)
  zone(tmp_path, 'intel-rapl:0', 'package-0', 20)
  assert energy.between(before, energy.read(tmp_path)) == pytest.approx(30)


def test_without_counters_there_is_no_energy(tmp_path):
  assert energy.read(tmp_path / 'missing') == {}
  assert energy.between({}, {}) is None
  zone(tmp_path, 'intel-rapl:0', 'package-0', 1)
  (tmp_path / 'intel-rapl:0' / 'energy_uj').unlink()
  assert energy.read(tmp_path) == {}
  (tmp_path / 'intel-rapl:0' / 'energy_uj').write_text('no number')
  assert energy.read(tmp_path) == {}


@pytest.fixture
def counted(tmp_path, monkeypatch):
  """Makes each reading of a made-up CPU two joules more than the last one."""
  read, readings = energy.read, []

  def next_reading():
    readings.append(2.0 * len(readings))
    zone(tmp_path, 'intel-rapl:0', 'package-0', readings[-1])
    return read(tmp_path)

  monkeypatch.setattr(measure.energy, 'read', next_reading)


def test_the_energy_of_warm_calls_is_their_mean(counted):
  del counted
  timing = measure.call(lambda: time.sleep(0.06), repeats=4).timing
  assert timing.repeats == 4
  assert timing.joules == pytest.approx(2.0 / 4)


def test_a_single_long_call_has_an_energy_and_a_short_one_has_none(counted):
  del counted
  call = measure.call(lambda: time.sleep(0.25), max_seconds=0.1)
  assert call.timing.joules == pytest.approx(2.0)
  assert measure.call(lambda: None, repeats=3).timing.joules is None


class Nvml:
  """One GPU that counts 3 J, and one that does not count."""

  NVMLError = RuntimeError

  def nvmlDeviceGetCount(self):
    return 2

  def nvmlDeviceGetHandleByIndex(self, number):
    return number

  def nvmlDeviceGetTotalEnergyConsumption(self, device):
    if device:
      raise self.NVMLError('not supported')
    return 3000


def test_gpus_are_read_where_jax_computes_on_them(tmp_path, monkeypatch):
  monkeypatch.setattr(energy, '_nvml', Nvml)
  monkeypatch.setattr(energy.jax, 'default_backend', lambda: 'cpu')
  assert energy.read(tmp_path) == {}
  monkeypatch.setattr(energy.jax, 'default_backend', lambda: 'gpu')
  (counter,) = energy.read(tmp_path).values()
  assert counter.joules == 3.0
  later = {'gpu 0': counter._replace(joules=10.0)}
  assert energy.between(energy.read(tmp_path), later) == pytest.approx(7.0)
