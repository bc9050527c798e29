"""The classes of which a fitted state of any system may consist.

`stored_state.unpack` builds only these. A system with a class of its own in
its state adds it here.
"""

from hyperrec import adapting, method
from hyperrec.data import interactions
from hyperrec.systems.baselines import blended, two_tower
from hyperrec.systems.factors import dropoutnet, ials, ials_features
from hyperrec.systems.graph import alpharec, gf_cf
from hyperrec.systems.hyperease import (
  catalogue_generator,
  column_mixture,
  composition,
  hyperease_learned,
  hyperease_user,
  item_columns,
  item_generator,
  item_popularity,
  local_columns,
  old_ranking,
  prior_generator,
  relation_transfer,
  user_correction,
)
from hyperrec.systems.hypernetwork import generated_head
from hyperrec.systems.linear import (
  added_popularity,
  ease_dynamic,
  linear_autoencoder,
  near_items,
)
from hyperrec.systems.p5 import p5, prefix_tree, tokenizer
from hyperrec.systems.pref import pref, pref_interview, reward_factorization
from hyperrec.systems.sequential import sasrec
from hyperrec.systems.vqrec import index, product_quantizer

STATES = (
  adapting.Shared,
  method.Part,
  interactions.Interactions,
  # baselines
  blended.State,
  two_tower.TowerState,
  # factors
  dropoutnet.DropoutnetState,
  ials.Factors,
  ials_features.MappedFactors,
  # graph
  alpharec.AlpharecState,
  gf_cf.State,
  # hyperease
  catalogue_generator.Description,
  catalogue_generator.State,
  column_mixture.Mixture,
  composition.Composition,
  hyperease_learned.Learned,
  hyperease_user.Generators,
  hyperease_user.Params,
  hyperease_user.UserState,
  item_columns.Catalogue,
  item_columns.Grown,
  item_generator.Scale,
  item_generator.State,
  item_popularity.PopularityMap,
  local_columns.Catalogue,
  old_ranking.Watched,
  prior_generator.Generator,
  relation_transfer.Anchors,
  user_correction.Factors,
  # hypernetwork
  generated_head.HeadState,
  # linear
  added_popularity.State,
  ease_dynamic.Inverse,
  linear_autoencoder.FactoredWeights,
  linear_autoencoder.Prior,
  linear_autoencoder.SubsetWeights,
  near_items.Groups,
  # p5
  p5.Catalogue,
  p5.P5State,
  prefix_tree.PrefixTree,
  tokenizer.Tokenizer,
  # pref
  pref.PrefState,
  pref_interview.Interviewed,
  reward_factorization.Gaussian,
  # sequential
  sasrec.State,
  # vqrec
  index.VqrecState,
  product_quantizer.ProductQuantizer,
)
