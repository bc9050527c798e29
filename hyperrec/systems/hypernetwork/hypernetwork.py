"""A network that generates the parameters of a Flax module, or some of them.

    template = jax.eval_shape(module.init, key, x)['params']
    network = Hypernetwork(VectorEncoder(in_dim=5), Full())
    theta = init(network, key, conditioning, template)
    generated = generate(network, theta, conditioning, template)
    y = module.apply({'params': generated}, x)

The code is for one task; `jax.vmap` over conditioning or generated parameters
extends it to many tasks.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from hyperrec.systems.hypernetwork import output_forms

Params = Any
Path = tuple[str, ...]
Selection = Sequence[Path] | Callable[[Path], bool]


class Hypernetwork(nn.Module):
  """generated = base + form(encoder(conditioning), base).

  Attributes:
    encoder: maps the conditioning to z; a module of `conditioning.py`.
    form: maps (z, base) to the change; see `output_forms`.
    dropout: share of the tasks in training with z = 0, which gives the base.
  """

  encoder: nn.Module
  form: nn.Module
  dropout: float = 0.0

  def __call__(
    self, conditioning: Any, base: output_forms.Parts, *, train: bool = False
  ) -> dict[str, jax.Array]:
    """The parts of one task; `train` needs the rng `dropout`."""
    z = self.encoder(conditioning)
    if train and self.dropout:
      is_dropped = jax.random.bernoulli(self.make_rng('dropout'), self.dropout)
      z = jnp.where(is_dropped, 0.0, z)
    change = self.form(z, base)
    return {
      name: leaf + change[name].astype(leaf.dtype)
      for name, leaf in base.items()
    }


def everything(path: Path) -> bool:
  """Selects all parts."""
  del path
  return True


def init(
  network: Hypernetwork,
  key: jax.Array,
  conditioning: Any,
  base: Params,
  parts: Selection = everything,
) -> Params:
  """Initialises theta; arguments as in `generate`, or only their shapes."""
  chosen, _ = _split(base, parts)
  conditioning = jax.tree.map(_array, conditioning)
  return _init(network, key, conditioning, chosen)


def generate(
  network: Hypernetwork,
  theta: Params,
  conditioning: Any,
  base: Params,
  parts: Selection = everything,
  *,
  dropout_key: jax.Array | None = None,
) -> Params:
  """The target's parameters for one task.

  Args:
    network: the hypernetwork.
    theta: the hypernetwork's parameters.
    conditioning: input of the encoder for this task; all numbers, also in the
      padding, must be finite.
    base: the target's parameters, to which generated parts are added, or its
      template: a `jax.ShapeDtypeStruct` stands for zeros.
    parts: the generated parts: beginnings of paths, such as ('decoder',) or
      ('decoder', 'kernel'), or a predicate on paths. All other parts are those
      of `base`.
    dropout_key: a typed key, one for each task, to drop the conditioning at
      the network's rate; None means no dropout.

  Returns:
    A tree like `base`, with its structure, shapes and types.

  Raises:
    ValueError: `base` has no such part, or theta was made for other shapes; the
      conditioning has another width or, outside of transformations, a number
      that is not finite.
  """
  _check_finite(conditioning)
  chosen, rest = _split(base, parts)
  is_train = dropout_key is not None
  rngs = {'dropout': dropout_key} if is_train else None
  try:
    generated = network.apply(
      {'params': theta}, conditioning, chosen, train=is_train, rngs=rngs
    )
  except (
    flax.errors.ScopeParamNotFoundError,
    flax.errors.ScopeParamShapeError,
  ) as error:
    raise ValueError(
      'theta was made for another template, other parts or another '
      f'conditioning; initialise it again with `init` for these: {error}'
    ) from error
  return traverse_util.unflatten_dict({**rest, **generated}, sep='.')


@functools.partial(jax.jit, static_argnums=0)
def _init(network, key, conditioning, chosen):
  return network.init(key, conditioning, chosen)['params']


def _split(base: Params, parts: Selection):
  """Splits the leaves into selected and other ones, by name."""
  flat = traverse_util.flatten_dict(base, sep='.')
  paths = {name: tuple(name.split('.')) for name in flat}
  tests = [parts] if callable(parts) else [_begins(part) for part in parts]
  chosen = {
    name: _array(leaf)
    for name, leaf in flat.items()
    if any(test(paths[name]) for test in tests)
  }
  if not chosen or not all(any(map(t, paths.values())) for t in tests):
    raise ValueError(
      f'parts={parts} selects a part that the target lacks; it has '
      f'{sorted(flat)}'
    )
  rest = {n: _array(leaf) for n, leaf in flat.items() if n not in chosen}
  return chosen, rest


def _begins(part: Path) -> Callable[[Path], bool]:
  return lambda path: path[: len(part)] == tuple(part)


def _array(leaf: Any) -> jax.Array:
  if isinstance(leaf, jax.ShapeDtypeStruct):
    return jnp.zeros(leaf.shape, leaf.dtype)
  return jnp.asarray(leaf)


def _check_finite(conditioning: Any) -> None:
  for path, leaf in jax.tree_util.tree_leaves_with_path(conditioning):
    if not isinstance(leaf, jax.core.Tracer):
      bad = np.argwhere(~np.isfinite(np.asarray(leaf)))
      if len(bad):
        raise ValueError(
          f'conditioning{jax.tree_util.keystr(path)} is not finite at '
          f'{bad[0].tolist()} ({len(bad)} such numbers); fill or drop it'
        )
