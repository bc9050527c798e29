"""VQ-Rec behind the contract: an item is what its text's codes have learned.

New items cost a look-up: text -> features -> the same index -> codes. The
paper's two-stage fine-tuning is the other arm.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.methods import (
  next_item,
  vqrec_index,
  vqrec_stages,
  vqrec_training,
)
from hyperrec.models import product_quantizer
from hyperrec.models import vqrec as vqrec_lib

Config = vqrec_stages.Config
Features = Callable[[interactions_lib.Interactions], np.ndarray]
Fitted = vqrec_index.Fitted
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Method = method_lib.Method


def vqrec(features: Features, **hyper_parameters: Any) -> Method:
  """VQ-Rec that adapts by looking codes up, without a training step.

  Args:
    features: interactions -> features of their catalogue, float [V, F]; of
      several domains in one space.
    **hyper_parameters: fields of `Config`.
  """
  config = Config(**hyper_parameters)

  def adapt(shared, evidence, key):
    del key
    return _looked_up(shared, evidence, features)

  return _method('vqrec', config, features, adapt)


def vqrec_finetune(features: Features, **hyper_parameters: Any) -> Method:
  """VQ-Rec that looks codes up, then goes on learning on the evidence.

  Evidence without a next item is looked up alone.

  Args:
    features: see `vqrec`.
    **hyper_parameters: fields of `Config`.
  """
  config = Config(**hyper_parameters)

  def adapt(shared, evidence, key):
    if evidence.user_counts().max(initial=0) < 2:
      return _looked_up(shared, evidence, features)
    adapted = vqrec_training.finetune(
      config, shared, evidence, features(evidence), key
    )
    if _is_known(shared, evidence):
      return adapted._replace(popularity=shared.popularity)
    return adapted

  return _method('vqrec_finetune', config, features, adapt)


def vqrec_retrain(features: Features, **hyper_parameters: Any) -> Method:
  """VQ-Rec from scratch on source and evidence, or a new catalogue's evidence.

  Args:
    features: see `vqrec`.
    **hyper_parameters: fields of `Config`.
  """
  config = Config(**hyper_parameters)

  def adapt(source, evidence, key):
    data = evidence
    if isinstance(source, Interactions) and np.array_equal(
      source.item_ids, evidence.item_ids
    ):
      data = interactions_lib.join_users(source, evidence)
    return vqrec_training.from_scratch(config, data, features(data), key)

  return Method(
    'vqrec:retrain',
    lambda source, key: source,
    adapt,
    functools.partial(score, config),
    adapt_flops=lambda shared, evidence, adapted: adapted.flops,
  )


def score(config: Config, fitted: Fitted, histories: Histories) -> np.ndarray:
  """Cosines [B, V] of the next item; popularity where nothing was shown.

  Raises:
    DataError: the codes are not of this model, or not of these histories.
  """
  _check(fitted, histories)
  encoder = config.encoder()
  table = item_table(fitted.params['codes'], fitted.codes)
  hidden_BxD, is_empty_B = next_item.last_hidden(
    functools.partial(last_hidden, encoder, fitted.params, table),
    histories,
    config.length,
    config.dim,
  )
  scores_BxV = hidden_BxD @ np.asarray(vqrec_lib.unit(table)).T
  scores_BxV[is_empty_B] = fitted.popularity
  return scores_BxV


def _method(name, config, features, adapt) -> Method:
  def prepare(source, key):
    is_one = isinstance(source, Interactions)
    domains = (source,) if is_one else source
    tables = [features(domain) for domain in domains]
    shared = vqrec_training.pretrain(config, domains, tables, key)
    # Ids are mere numbers in many sets: another domain may have the same.
    return shared if is_one else shared._replace(item_ids=None)

  def adapt_flops(shared, evidence, adapted):
    del evidence
    return 0.0 if adapted is shared else adapted.flops

  return Method(
    name,
    prepare,
    adapt,
    functools.partial(score, config),
    lambda source, shared: shared.flops,
    adapt_flops,
  )


def _looked_up(shared, evidence, features) -> Fitted:
  if _is_known(shared, evidence):
    return shared
  return vqrec_index.look_up(
    shared._replace(flops=0.0), evidence, features(evidence)
  )


def _is_known(shared, evidence) -> bool:
  return np.array_equal(shared.item_ids, evidence.item_ids)


def _check(fitted: Fitted, histories: Histories) -> None:
  num_groups, num_codes, _ = fitted.params['codes'].shape
  try:
    product_quantizer.check_codes(fitted.codes, num_groups, num_codes)
  except ValueError as error:
    raise interactions_lib.DataError(str(error)) from error
  if len(fitted.codes) != histories.num_items:
    raise interactions_lib.DataError(
      f'codes of {len(fitted.codes)} items, but the histories are of a '
      f'catalogue of {histories.num_items}; adapt to it first'
    )


@jax.jit
def item_table(table_GxMxD, codes_VxG):
  """The items' vectors [V, D]: what their codes look up."""
  return vqrec_lib.embed(table_GxMxD, codes_VxG.astype(jnp.int32))


@functools.partial(jax.jit, static_argnames='encoder')
def last_hidden(encoder, params, table_VxD, items_BxL, sizes_B):
  """What the last item of each history says of the next one: [B, D]."""
  return vqrec_lib.last_hidden(encoder, params, table_VxD[items_BxL], sizes_B)
