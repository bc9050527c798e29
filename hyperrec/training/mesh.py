"""Sharding of training over several devices and hosts.

This is the only module with sharding code. A script opens a mesh and trains
inside it:

    with mesh.use(num_items=2):
      fitted = sasrec.fit(config, data, key)

`loop.train` then places its state and its batches on the mesh. The mesh has two
axes: batches are sharded by rows along 'data', and large tables (embeddings,
output layers, their optimizer moments) are sharded along 'items' by their
longest axis. XLA adds the communication, so a step computes the same as on one
device.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

# Tables with fewer elements are not sharded, since it would not be worthwhile.
MIN_TABLE_SIZE = 2**14

_IN_USE: contextvars.ContextVar[Mesh | None] = contextvars.ContextVar(
  'mesh', default=None
)


class MeshError(ValueError):
  """The devices cannot be arranged in the requested mesh."""


def initialize(
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> None:
  """Joins the processes of a run; call it before any other use of JAX.

  On TPU pods, Slurm and GKE, JAX detects all three arguments itself.

  Args:
    coordinator: 'host:port' of process 0.
    num_processes: number of processes of the run.
    process_id: number of this process, from 0.
  """
  # Processes on CPUs communicate by gloo; other devices ignore the setting.
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  jax.distributed.initialize(coordinator, num_processes, process_id)


def is_writer() -> bool:
  """Whether this process writes files; exactly one process of a run does."""
  return jax.process_index() == 0


@contextlib.contextmanager
def use(num_items: int = 1) -> Iterator[Mesh]:
  """Uses a mesh (data, items) of all devices of all processes.

  Args:
    num_items: number of devices along 'items', a divisor of the number of
      devices. The number along 'data' follows from it.

  Raises:
    MeshError: `num_items` does not divide the number of devices.
  """
  count = jax.device_count()
  if num_items < 1 or count % num_items:
    raise MeshError(
      f'{count} devices cannot form a mesh with {num_items} devices along '
      f'items; choose a divisor of {count}'
    )
  shape = (count // num_items, num_items)
  made = jax.make_mesh(
    shape, ('data', 'items'), axis_types=(AxisType.Auto, AxisType.Auto)
  )
  # `jax.set_mesh` would also affect the small jitted functions around a run,
  # whose arrays are on one device.
  token = _IN_USE.set(made)
  try:
    yield made
  finally:
    _IN_USE.reset(token)


def current() -> Mesh | None:
  """Returns the mesh in use, or None."""
  return _IN_USE.get()


def place_state(mesh: Mesh, tree: Any) -> Any:
  """Shards large tables along 'items'; copies other arrays to every device."""
  return jax.tree.map(lambda leaf: _put(leaf, _of_table(mesh, leaf)), tree)


def place_batch(mesh: Mesh, tree: Any) -> Any:
  """Shards the rows of a batch along 'data'.

  An array is copied to every device if its rows cannot be divided equally.
  Every process passes the whole batch, and keeps only its own part.
  """

  def put(leaf):
    leaf = np.asarray(leaf)
    cut = leaf.ndim > 0 and len(leaf) > 0 and not len(leaf) % mesh.shape['data']
    spec = PartitionSpec('data') if cut else PartitionSpec()
    return _put(leaf, NamedSharding(mesh, spec))

  return jax.tree.map(put, tree)


def make_rows(
  mesh: Mesh,
  shape: tuple[int, int],
  rows: Callable[[int, int], np.ndarray],
) -> jax.Array:
  """Makes a matrix sharded by rows; each device's rows are made separately.

  Args:
    mesh: the mesh; its number of devices must divide the number of rows.
    shape: shape of the whole matrix.
    rows: (first, last) -> the rows from `first` to `last` - 1.
  """

  def part(index):
    first, last, _ = index[0].indices(shape[0])
    return rows(first, last)

  return jax.make_array_from_callback(shape, _by_rows(mesh), part)


def map_rows(
  mesh: Mesh, of_device: Callable[[jax.Array], jax.Array]
) -> Callable[[jax.Array], jax.Array]:
  """Returns a function in which each device maps its own rows of a matrix.

  Args:
    mesh: the mesh on which `make_rows` made the matrix.
    of_device: a device's rows -> its new rows; it may communicate along all
      axes of the mesh.
  """
  spec = _by_rows(mesh).spec
  return jax.shard_map(of_device, mesh=mesh, in_specs=spec, out_specs=spec)


def map_items(
  num_items: int,
  width: int,
  batch: int,
  make: Callable[[np.ndarray], tuple[np.ndarray, ...]],
  of_batch: Callable[..., jax.Array],
  *shared: Any,
) -> np.ndarray:
  """Maps items in batches; each device of the mesh has a range of its own.

  Every process makes the batches of its own devices alone. Without a mesh in
  use, one device maps all items.

  Args:
    num_items: number of items, which are numbered from 0.
    width: number of values of an item.
    batch: number of items that a device maps at a time.
    make: item numbers [batch] -> arrays of `batch` rows; a number may occur
      again at the end of a range.
    of_batch: (*shared, *arrays) -> float32 [batch, width]; its rows must not
      depend on each other. A function of a module is compiled only once.
    *shared: arguments that are the same for all batches, such as a ridge.

  Returns:
    float32 [num_items, width], whole in every process.
  """
  if not num_items:
    return np.zeros((0, width), np.float32)
  mesh = current() or jax.make_mesh(
    (1, 1), ('data', 'items'), axis_types=(AxisType.Auto,) * 2,
    devices=jax.local_devices()[:1],
  )  # fmt: skip
  steps = -(-num_items // (mesh.size * batch))
  rows = _by_first_axis(mesh)
  run = _on_own_rows(of_batch, mesh)
  places = rows.addressable_devices_indices_map((mesh.size,))
  own = {device: index[0].start or 0 for device, index in places.items()}
  found = {place: [] for place in own.values()}
  waiting = None

  def take(result):
    for shard in result.addressable_shards:
      found[own[shard.device]].append(np.asarray(shard.data))

  for step in range(steps):
    made = []
    for place in own.values():
      first = (place * steps + step) * batch
      chosen = np.minimum(np.arange(first, first + batch), num_items - 1)
      made.append(make(chosen))
    arrays = [
      jax.make_array_from_single_device_arrays(
        (mesh.size * batch, *parts[0].shape[1:]),
        rows,
        [jax.device_put(p, d) for p, d in zip(parts, own, strict=True)],
      )
      for parts in zip(*made, strict=True)
    ]
    result = run(shared, arrays)
    # While a batch is computed, the next one is made.
    if waiting is not None:
      take(waiting)
    waiting = result
  take(waiting)
  whole = jax.make_array_from_callback(
    (mesh.size * steps * batch, width),
    rows,
    lambda index: np.concatenate(
      found[(index[0].start or 0) // (steps * batch)]
    ),
  )
  return np.asarray(collect(mesh, whole))[:num_items]


@functools.cache
def _on_own_rows(of_batch: Callable[..., jax.Array], mesh: Mesh) -> Callable:
  """(shared, arrays) -> `of_batch` of each device's rows of the arrays."""
  rows = _by_first_axis(mesh).spec
  return jax.jit(
    jax.shard_map(
      lambda shared, arrays: of_batch(*shared, *arrays),
      mesh=mesh,
      in_specs=(PartitionSpec(), rows),
      out_specs=rows,
    )
  )


def _by_first_axis(mesh: Mesh) -> NamedSharding:
  return NamedSharding(mesh, PartitionSpec(mesh.axis_names))


def collect(mesh: Mesh, tree: Any) -> Any:
  """Gathers arrays, so that each is whole on one device of this process."""
  everywhere = NamedSharding(mesh, PartitionSpec())
  whole = jax.jit(lambda t: t, out_shardings=everywhere)(tree)
  return jax.tree.map(lambda leaf: leaf.addressable_data(0), whole)


def _by_rows(mesh: Mesh) -> NamedSharding:
  return NamedSharding(mesh, PartitionSpec(mesh.axis_names, None))


def _of_table(mesh: Mesh, leaf: jax.Array) -> NamedSharding:
  spec = [None] * leaf.ndim
  if leaf.ndim > 1 and leaf.size >= MIN_TABLE_SIZE:
    longest = int(np.argmax(leaf.shape))
    if leaf.shape[longest] % mesh.shape['items'] == 0:
      spec[longest] = 'items'
  return NamedSharding(mesh, PartitionSpec(*spec))


def _put(leaf: Any, sharding: NamedSharding) -> jax.Array:
  """Places an array that every process holds whole; each keeps its part."""
  if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(
    leaf.dtype, jax.dtypes.prng_key
  ):
    everywhere = NamedSharding(sharding.mesh, PartitionSpec())
    raw = _put(jax.random.key_data(leaf), everywhere)
    return jax.random.wrap_key_data(raw, impl=jax.random.key_impl(leaf))
  leaf = np.asarray(leaf)
  return jax.make_array_from_callback(
    leaf.shape, sharding, lambda index: leaf[index]
  )
