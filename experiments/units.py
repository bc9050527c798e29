"""Numbers as people read them: three digits, with a unit that fits."""

import math


def seconds(value: float) -> str:
  """A time in seconds, with a unit that fits its size."""
  if value == 0:
    return '0 s'
  units = {'h': 3600.0, 'min': 60.0, 's': 1.0, 'ms': 1e-3, 'µs': 1e-6}
  return _with_unit(value, units)


def energy(value: float) -> str:
  """An energy in joules, with a unit that fits its size."""
  units = {'MJ': 1e6, 'kJ': 1e3, 'J': 1.0, 'mJ': 1e-3, 'µJ': 1e-6}
  return _with_unit(value, units)


def operations(value: float) -> str:
  """A number of floating point operations, with a unit that fits it."""
  units = {'P': 1e15, 'T': 1e12, 'G': 1e9, 'M': 1e6, 'k': 1e3, '': 1.0}
  return _with_unit(value, {f'{u}FLOP': size for u, size in units.items()})


def size(value: float) -> str:
  """A number of bytes, with a unit that fits it."""
  units = {'TiB': 2**40, 'GiB': 2**30, 'MiB': 2**20, 'KiB': 2**10, 'B': 1}
  return _with_unit(value, units)


def _with_unit(value: float, units: dict[str, float]) -> str:
  """The value in the largest unit that it reaches after rounding.

  Args:
    value: in the base unit.
    units: unit -> its size in the base unit, from large to small.
  """
  fitting = [u for u, scale in units.items() if value >= 0.9995 * scale]
  unit = fitting[0] if fitting else list(units)[-1]
  return f'{digits(value / units[unit])} {unit}'


def digits(value: float) -> str:
  """The value with three significant digits and without an exponent."""
  if value == 0:
    return '0'
  decimals = 2 - math.floor(math.log10(value))
  text = f'{round(value, decimals):,.{max(0, decimals)}f}'
  return text.rstrip('0').rstrip('.') if '.' in text else text
