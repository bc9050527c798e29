"""The time of trials is foretold from times on data of several sizes."""

import pytest

from experiments import needs
from experiments.recommend import cases, forecast

CASE = cases.ALL[0]


@pytest.fixture
def same_machine(monkeypatch):
  """A machine as fast as the one that was measured."""
  speed = forecast._measured()['flops_per_second']
  monkeypatch.setattr(needs, 'flops_per_second', lambda: speed)
  forecast._slowness.cache_clear()
  yield
  forecast._slowness.cache_clear()


def test_every_method_of_every_case_was_measured():
  known = set(forecast._measured()['times'])
  # Where text is known, the generator on text takes the place of the other.
  asked = {
    forecast.name(case, method)
    for case in cases.ALL
    for method in case.methods
    if method != 'hyperease_user'
  }
  assert asked <= known


@pytest.mark.usefixtures('same_machine')
def test_time_grows_with_the_data_and_with_the_trials():
  small, large = forecast.Size(100, 2_000), forecast.Size(5_000, 400_000)
  for method in ('ease', 'mult_vae'):
    few = forecast.seconds(CASE, method, small, 3)
    assert 0 < few < forecast.seconds(CASE, method, large, 3)
    assert forecast.seconds(CASE, method, small, 1) < few
  assert forecast.seconds(CASE, 'unheard of', small, 3) is None


@pytest.mark.usefixtures('same_machine')
def test_a_slower_machine_takes_longer(monkeypatch):
  size = forecast.Size(1000, 50_000)
  before = forecast.seconds(CASE, 'ease', size, 3)
  speed = forecast._measured()['flops_per_second']
  monkeypatch.setattr(needs, 'flops_per_second', lambda: speed / 4)
  forecast._slowness.cache_clear()
  assert forecast.seconds(CASE, 'ease', size, 3) == pytest.approx(4 * before)


def test_the_parts_of_a_time_are_found_and_never_negative():
  from experiments.recommend import measure_times

  sizes = ((80, 1500), (400, 12_000), (1000, 40_000), (3000, 45_000),
           (1500, 90_000), (4000, 160_000), (8000, 320_000))  # fmt: skip
  points = [
    measure_times.Point(v, n, 2.0 + 3e-5 * n + 4e-11 * v**3) for v, n in sizes
  ]
  found = measure_times.fitted(points)
  assert found['floor'] == pytest.approx(2.0)
  assert found['interactions'] == pytest.approx(3.0)
  assert found['items^3'] == pytest.approx(0.04)
  assert found['error'] == pytest.approx(1.0)
  # Such a method takes 320 + 30 + 2 seconds on a size that was not measured.
  large = sum(
    found[key] * value
    for key, value in forecast.terms(20_000, 1_000_000).items()
  )
  assert large == pytest.approx(352.0)
  falling = [measure_times.Point(v, n, 2.0 + 1e3 / v) for v, n in sizes]
  assert min(measure_times.fitted(falling).values()) >= 0


def test_a_run_that_is_slower_than_foretold_leaves_out_more():
  assert forecast.next_pace(30.0, 114.0, 1.0) == 3.8
  assert forecast.next_pace(30.0, 10.0, 3.8) == 1.0
  # Too short to tell, or nothing was foretold.
  assert forecast.next_pace(1.0, 4.0, 2.0) == 2.0
  assert forecast.next_pace(None, 90.0, 2.0) == 2.0
