"""A number is told in three digits, with a unit that fits."""

import pytest

from experiments import units


@pytest.mark.parametrize(
  ('show', 'value', 'text'),
  [
    (units.seconds, 0.0, '0 s'),
    (units.seconds, 1.73e-5, '17.3 µs'),
    (units.seconds, 0.9996, '1 s'),
    (units.seconds, 12345.0, '3.43 h'),
    (units.operations, 0.0, '0 FLOP'),
    (units.operations, 1.5e9, '1.5 GFLOP'),
    (units.operations, 1.234e19, '12,300 PFLOP'),
    (units.size, 2048, '2 KiB'),
    (units.size, 1000, '1,000 B'),
    (units.digits, 65889.0, '65,900'),
    (units.digits, 0.001234, '0.00123'),
  ],
)
def test_units(show, value, text):
  assert show(value) == text
