"""How a fitted recommender is described, and how its method is built again."""

import json
import pathlib
from typing import Any, NamedTuple

from experiments import catalogue
from hyperrec import export, ranker
from hyperrec import method as method_lib
from hyperrec import recommender as recommender_lib
from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError
Recommender = recommender_lib.Recommender


class Choice(NamedTuple):
  """A system of the catalogue in a case, with its hyperparameters.

  Attributes:
    system: name in the catalogue.
    case: regime, which decides the policy.
    hyperparameters: those of the system's model.
  """

  system: str
  case: str
  hyperparameters: dict[str, Any]

  def build(self, features: Any) -> method_lib.Method:
    """The method; see `recommender.Build`."""
    system = catalogue.BY_NAME[self.system]
    return system.build(self.case, features, **self.hyperparameters)


def named(method: str, case: str) -> Choice:
  """A system with the first hyperparameters of its grid.

  Raises:
    DataError: the method is unknown or does not serve the case.
  """
  system = catalogue.BY_NAME.get(method)
  if system is None:
    raise DataError(
      f'--method={method} is unknown; use one of {list(catalogue.BY_NAME)}'
    )
  if case not in system.arms:
    raise DataError(
      f'--method={method} does not serve --case={case}; it serves '
      f'{list(system.arms)}'
    )
  return Choice(method, case, dict(system.arms[case].trials[0]))


def advised(folder: str | pathlib.Path, case: str) -> tuple[Choice, str]:
  """The method that `advise` recommends for a case, and its text encoder.

  Its hyperparameters are those that were chosen with the most evidence.

  Args:
    folder: the workdir of `experiments.recommend.advise`.
    case: name of the case.

  Raises:
    DataError: there is no advice, or none for the case.
  """
  path = pathlib.Path(folder) / 'advice.json'
  try:
    document = json.loads(path.read_text(encoding='utf-8'))
    found = {one['case']: one for one in document['cases']}
    encoder = document['flags']['text_encoder']
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise DataError(
      f'--advice={folder}: {path} holds no advice ({error}); name the workdir '
      'of experiments.recommend.advise'
    ) from error
  if case not in found or found[case]['method'] is None:
    raise DataError(
      f'--advice={folder}: there is no recommendation for --case={case}; there '
      f'are some for {[n for n, one in found.items() if one["method"]]}'
    )
  chosen = found[case]['hyperparameters']
  choice = Choice(found[case]['method'], case, chosen[max(chosen, key=int)])
  return choice, encoder


def ranker_of(folder: str | pathlib.Path) -> Recommender | ranker.Ranker:
  """Reads a fitted recommender, or an exported one.

  Raises:
    RecommenderError: the folder holds neither.
    DataError: see `load`.
  """
  if recommender_lib.is_fitted(folder):
    return load(folder)
  return export.load(folder)


def load(folder: str | pathlib.Path) -> Recommender:
  """Reads a recommender that `experiments.recommend.fit` wrote.

  Raises:
    FolderError: the folder holds no valid recommender.
    DataError: its method is not in the catalogue.
  """
  about = recommender_lib.describe(folder)
  try:
    choice = Choice(**about['choice'])
    known = choice.case in catalogue.BY_NAME[choice.system].arms
  except (KeyError, TypeError):
    known = False
  if not known:
    raise DataError(
      f'{folder} was not written by experiments.recommend.fit of this version; '
      'fit it again'
    )
  return Recommender.load(folder, choice.build)
