"""VQ-Rec behind the contract: an item is what its text's codes have learned.

A new catalogue costs a look-up: text -> features -> the same index -> codes.
The paper's two-stage fine-tuning is `carry` (codes are aligned) and a `fit`
that continues from there.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.sequential import next_item
from hyperrec.systems.vqrec import index as vqrec_index
from hyperrec.systems.vqrec import network as vqrec_lib
from hyperrec.systems.vqrec import product_quantizer
from hyperrec.systems.vqrec import stages as vqrec_stages
from hyperrec.systems.vqrec import training as vqrec_training

VqrecConfig = vqrec_stages.VqrecConfig
Features = method_lib.Features
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
MakeIndex = vqrec_index.MakeIndex
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program
Run = method_lib.Run
VqrecState = vqrec_index.VqrecState


def vqrec(
  features: Features,
  make_index: MakeIndex | None = None,
  **hyperparameters: Any,
) -> Model:
  """VQ-Rec, pre-trained on one domain or several.

  Args:
    features: interactions -> features of their catalogue, float [V, F]; those
      of several domains are in one space.
    make_index: (features, key) -> `Outcome` of the index of their items; by
      default `vqrec_index.make`.
    **hyperparameters: fields of `VqrecConfig`.
  """
  config = VqrecConfig(**hyperparameters)
  make_index = make_index or _index_maker(config)

  def pretrain(data, key, run):
    domains = (data,) if isinstance(data, Interactions) else data
    tables = [features(domain) for domain in domains]
    return vqrec_training.pretrain(
      config, domains, tables, key=key, make_index=make_index, run=run
    )

  return _model(
    'vqrec', config, features, make_index, pretrain, takes_domains=True
  )


def vqrec_from_scratch(
  features: Features,
  make_index: MakeIndex | None = None,
  **hyperparameters: Any,
) -> Model:
  """VQ-Rec without pre-training: fitted on one catalogue.

  Args:
    features: see `vqrec`.
    make_index: see `vqrec`.
    **hyperparameters: fields of `VqrecConfig`.
  """
  config = VqrecConfig(**hyperparameters)
  make_index = make_index or _index_maker(config)

  def from_scratch(data, key, run):
    return vqrec_training.from_scratch(
      config, data, features(data), key=key, make_index=make_index, run=run
    )

  return _model(
    'vqrec_from_scratch', config, features, make_index, from_scratch
  )


def score(
  config: VqrecConfig, state: VqrecState, histories: Histories
) -> np.ndarray:
  """Cosines [B, V] of the next item; popularity where nothing was shown.

  Raises:
    DataError: the codes are not of this model, or not of these histories.
  """
  _check(state, histories)
  encoder = config.encoder()
  table = item_table(state.params['codes'], state.codes)
  table_VxD = np.asarray(table)

  def hidden(items_BxL, sizes_B):
    return last_hidden(encoder, state.params, table_VxD[items_BxL], sizes_B)

  hidden_BxD, is_empty_B = next_item.last_hidden(
    hidden, histories, config.length, config.dim
  )
  scores_BxV = hidden_BxD @ np.asarray(vqrec_lib.unit(table)).T
  scores_BxV[is_empty_B] = state.popularity
  return scores_BxV


def program(config: VqrecConfig, state: VqrecState) -> Program:
  """The same scores; the table of the items is computed from codes once."""
  encoder = config.encoder()

  def hidden(params, items_BxL, sizes_B):
    return last_hidden(
      encoder, params['network'], params['table'][items_BxL], sizes_B
    )

  params = {
    'network': {k: v for k, v in state.params.items() if k != 'codes'},
    'table': item_table(state.params['codes'], state.codes),
  }
  return next_item.program(
    hidden,
    lambda params: vqrec_lib.unit(params['table']),
    params,
    config.length,
    state.popularity,
  )


def _model(
  name: str,
  config: VqrecConfig,
  features: Features,
  make_index: MakeIndex,
  fit_first: Callable[[Any, jax.Array, Run], Outcome],
  *,
  takes_domains: bool = False,
) -> Model:
  def fit(data, key, start=None, run=None):
    run = run or Run()
    if start is None:
      return fit_first(data, key, run)
    return vqrec_training.finetune(config, start, data, key=key, run=run)

  def look_up(state, data):
    return vqrec_index.look_up(state, data, features(data))

  def carry(state, data, key):
    return vqrec_training.carry(
      config, state, data, features(data), key=key, make_index=make_index
    )

  return Model(
    name,
    config,
    fit,
    functools.partial(score, config),
    look_up=look_up,
    carry=carry,
    program=functools.partial(program, config),
    takes_domains=takes_domains,
    needs_interactions=False,
  )


def _index_maker(config: VqrecConfig) -> MakeIndex:
  return functools.partial(
    vqrec_index.make, num_groups=config.num_groups, num_codes=config.num_codes
  )


def _check(state: VqrecState, histories: Histories) -> None:
  num_groups, num_codes, _ = state.params['codes'].shape
  try:
    product_quantizer.check_codes(state.codes, num_groups, num_codes)
  except ValueError as error:
    raise interactions_lib.DataError(str(error)) from error
  if len(state.codes) != histories.num_items:
    raise interactions_lib.DataError(
      f'codes of {len(state.codes)} items, but the histories are of a '
      f'catalogue of {histories.num_items}; adapt to it first'
    )


@jax.jit
def item_table(table_GxMxD, codes_VxG):
  """The items' vectors [V, D]: what their codes look up."""
  return vqrec_lib.embed(table_GxMxD, codes_VxG.astype(jnp.int32))


@functools.partial(jax.jit, static_argnames='encoder')
def last_hidden(encoder, params, rows_BxLxD, sizes_B):
  """What the last item of each history says of the next one: [B, D].

  It takes the items' vectors, so that catalogues of all sizes share a program.
  """
  return vqrec_lib.last_hidden(encoder, params, rows_BxLxD, sizes_B)
