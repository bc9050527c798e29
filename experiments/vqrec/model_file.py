"""Saves a fitted VQ-Rec in one file, so that new items can be added later."""

import dataclasses
import io
import json
import os
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from hyperrec import whole_file
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.vqrec import index as vqrec_index
from hyperrec.systems.vqrec import product_quantizer
from hyperrec.systems.vqrec import stages as vqrec_stages
from hyperrec.systems.vqrec import training as vqrec_training

DataError = interactions_lib.DataError

_ABOUT = 'about'


class SavedModel(NamedTuple):
  """A fitted model with all that is needed to add and score items.

  Attributes:
    config: hyperparameters.
    text_encoder: description of the encoder that made the item features.
    state: the network, the index and the codes of the items.
    item_ids: [V] ids of the items.
    origin: identifies the run and the arm that made the model.
  """

  config: vqrec_stages.VqrecConfig
  text_encoder: str
  state: vqrec_index.VqrecState
  item_ids: np.ndarray
  origin: str = ''


def save(path: str | os.PathLike, model: SavedModel) -> None:
  """Writes a model to an .npz file.

  Args:
    path: the file; its name should end in .npz.
    model: the model.
  """
  about = {
    'config': dataclasses.asdict(model.config),
    'text_encoder': model.text_encoder,
    'origin': model.origin,
  }
  state = model.state
  arrays = {
    _ABOUT: np.array(json.dumps(about)),
    'codes': state.codes,
    'popularity': state.popularity,
    'item_ids': np.asarray(model.item_ids).astype(str),
    **{f'index/{k}': v for k, v in state.index._asdict().items()},
    **_flat(state.params),
  }
  content = io.BytesIO()
  np.savez(content, **arrays)
  whole_file.write_whole(path, content.getvalue())


def check_own(path: str | os.PathLike, origin: str) -> None:
  """Checks that a file, if it exists, holds a model of the given origin.

  Raises:
    DataError: the file has another origin, or cannot be read as a model.
  """
  if pathlib.Path(path).exists() and load(path).origin != origin:
    raise DataError(
      f'--save={path} holds the model of another run or arm; give another '
      '--save, or delete that file'
    )


def load(path: str | os.PathLike) -> SavedModel:
  """Reads a model; its item ids are strings.

  Raises:
    DataError: the file does not exist, or `save` did not write it.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = dict(file)
    about = json.loads(str(arrays.pop(_ABOUT)))
    config = vqrec_stages.VqrecConfig(**about['config'])
    index = product_quantizer.ProductQuantizer(
      *(
        arrays[f'index/{k}'] for k in product_quantizer.ProductQuantizer._fields
      )
    )
    state = vqrec_index.VqrecState(
      _params(config, arrays), index, arrays['codes'], arrays['popularity']
    )
    saved = SavedModel(
      config,
      about['text_encoder'],
      state,
      arrays['item_ids'],
      about.get('origin', ''),
    )
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise DataError(
      f'{path} cannot be read as a model of VQ-Rec ({error}); make one with '
      'experiments.vqrec.run --save=FILE'
    ) from error
  _check(path, state)
  return saved


def _flat(params: Any) -> dict[str, np.ndarray]:
  leaves, _ = jax.tree_util.tree_flatten_with_path(params)
  return {
    f'params{jax.tree_util.keystr(path)}': np.asarray(leaf)
    for path, leaf in leaves
  }


def _params(config, arrays) -> Any:
  """Reads the parameters, and checks their shapes.

  Raises:
    KeyError: a parameter is missing.
    ValueError: a shape does not follow from the configuration in the file.
  """
  like = jax.eval_shape(lambda: vqrec_training.init(config, jax.random.key(0)))

  def read(path, leaf):
    name = f'params{jax.tree_util.keystr(path)}'
    if arrays[name].shape != leaf.shape:
      raise ValueError(
        f'{name} has the shape {arrays[name].shape}, expected {leaf.shape}'
      )
    return arrays[name]

  return jax.tree_util.tree_map_with_path(read, like)


def _check(path, state) -> None:
  """Checks that codes, index and embeddings have the same sizes.

  Raises:
    DataError: the sizes differ.
  """
  num_groups, num_codes, _ = state.params['codes'].shape
  try:
    product_quantizer.check_codes(state.codes, num_groups, num_codes)
  except ValueError as error:
    raise DataError(f'{path}: {error}') from error
  if state.index.codebooks.shape[:2] != (num_groups, num_codes):
    raise DataError(
      f'{path}: the index has {state.index.codebooks.shape[:2]} groups and '
      f'codes, but the embeddings have {(num_groups, num_codes)}; save the '
      'model again'
    )
