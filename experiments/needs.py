"""Estimates the memory and the time of training a linear method."""

import time
from collections.abc import Callable

import numpy as np

from experiments.adaptation import grids
from hyperrec.cost import counts, memory
from hyperrec.data import interactions
from hyperrec.systems.linear import (
  item_kernel,
  linear_autoencoder,
  sparse_autoencoder,
  spd_inverse,
)
from hyperrec.systems.linear import prior as prior_lib
from hyperrec.systems.linear import slim as slim_method
from hyperrec.systems.linear import slim_admm as slim

# Size of the square matrices whose product measures the speed of the machine.
_SIDE = 1500
# Width of the item features.
_WIDTH = 128
# Overhead of each column of `ease_sparse`, in seconds.
_COLUMN = 3e-4


def memory_bytes(name: str, data: interactions.Interactions, settings) -> int:
  """Estimates the peak memory of training a method, in bytes.

  Args:
    name: name of an item-item method of `experiments.export.run`.
    data: the training data.
    settings: the hyperparameters of the method.
  """
  users, items = data.num_users, data.num_items
  square = spd_inverse.spd_inverse_peak_bytes(items)
  solve = linear_autoencoder.solve_peak_bytes(users, items)
  if name == 'ease_sparse':
    return sparse_autoencoder.neighbour_peak_bytes(
      data.csr(), settings['neighbours']
    )
  if name == 'itemknn':
    # Blocks of similarities, and three copies of the kept neighbours.
    return 1024 * items * 24 + 24 * items * settings['neighbours']
  if name == 'slim':
    return slim.peak_bytes(items)
  # The prior of the weights and the inverse of the kernel need a matrix each.
  return solve if name == 'ease' else 3 * square


def operations(name: str, data: interactions.Interactions, settings) -> float:
  """Estimates the floating-point operations of training a method.

  Args:
    name: name of an item-item method of `experiments.export.run`.
    data: the training data.
    settings: the hyperparameters of the method.
  """
  x_UxV, items = data.csr(), data.num_items
  rows_U = x_UxV.getnnz(1)
  if name == 'ease_sparse':
    return sparse_autoencoder.neighbour_flops(x_UxV, settings['neighbours'])
  if name == 'itemknn':
    return counts.gram(rows_U)
  if name == 'slim':
    touched = int((data.item_counts() > 0).sum())
    config = slim_method.SlimConfig(**settings)
    return slim.slim_flops(rows_U, touched, config.max_iterations)
  if name in ('hyperease', 'l3ae:kernel'):
    kernel = item_kernel.flops(items, _WIDTH)
    return kernel + linear_autoencoder.solve_around_flops(rows_U, items)
  if name == 'l3ae':
    prior = prior_lib.from_features_flops(items, _WIDTH)
    return prior + linear_autoencoder.solve_flops(rows_U, items, _WIDTH)
  return linear_autoencoder.solve_flops(rows_U, items)


def tell(
  name: str,
  data: interactions.Interactions,
  settings,
  show: Callable[[str], None],
) -> None:
  """Prints the memory and time that training needs; raises if it cannot fit.

  Args:
    name: name of the method.
    data: the training data.
    settings: the hyperparameters of the method.
    show: function that prints a line.

  Raises:
    InsufficientMemoryError: less memory is free. The message names methods
      or flags that need less.
  """
  required = memory_bytes(name, data, settings)
  free = memory.available_bytes()
  seconds = operations(name, data, settings) / flops_per_second()
  if name == 'ease_sparse':
    seconds += _COLUMN * data.num_items
  left = '' if free is None else f' ({free / 2**30:,.1f} GiB are free)'
  show(
    f'{name} of {data.num_items:,} items and {data.num_users:,} users: about '
    f'{required / 2**30:,.2f} GiB of memory{left} and {duration(seconds)}'
  )
  if free is not None and required > free:
    memory.check_memory(required, f'--method={name}', _remedy(name, data))


def _remedy(name: str, data: interactions.Interactions) -> str:
  remedy = 'leave out rare items (--min_item_interactions)'
  if name == 'ease_sparse':
    return remedy
  least = memory_bytes('ease_sparse', data, grids.EASE_SPARSE[0]) / 2**30
  return (
    f'{remedy}; or give --method=ease_sparse, EASE with sparse weights, which '
    f'needs about {least:,.2f} GiB'
  )


def flops_per_second(clock: Callable[[], float] = time.perf_counter) -> float:
  """Measures the speed of a float32 matrix product on this machine.

  Args:
    clock: returns seconds; `time.process_time` adds those of all cores.
  """
  side = np.ones((_SIDE, _SIDE), np.float32)
  side[:64] @ side  # starts the threads
  start = clock()
  side @ side
  return 2 * _SIDE**3 / (clock() - start)


def duration(seconds: float) -> str:
  """Formats a time in seconds, minutes or hours; at least 1 s."""
  if seconds < 100:
    return f'{max(1, seconds):.0f} s'
  if seconds < 6000:
    return f'{round(seconds / 60)} minutes'
  return f'{seconds / 3600:.1f} hours'
