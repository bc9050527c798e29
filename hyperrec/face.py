"""The names of `hyperrec`: data, models, policies, evaluation, recommending.

A model is fitted and recommends:

    >>> import hyperrec as hr
    >>> data = hr.load('synthetic', num_users=120, num_items=40)
    >>> recommender = hr.fit(hr.ease(l2=20.0), data)
    >>> len(recommender.recommend([['3', '7']], k=5)[0])
    5

A model under a policy is a method, which `evaluate` judges on held-out users
who show a few items:

    >>> found = hr.evaluate(hr.frozen(hr.ease(l2=20.0)), data, budget=5)
    >>> 0 < found['ndcg@100'] < 1
    True

Policies are `frozen`, `retrained`, `finetuned`, `updated` and `generated`. New
users cost a frozen EASE nothing; Dynamic EASE updates its inverse, popularity
its counts, and ELSA goes on training:

    >>> updated = hr.evaluate(hr.updated(hr.ease_dynamic(l2=20.0)), data)
    >>> found['adapt_operations'] == 0 < updated['adapt_operations']
    True
    >>> counted = hr.evaluate(hr.updated(hr.popularity()), data, budget=0)
    >>> trained = hr.finetuned(hr.elsa(rank=8, epochs=2))
    >>> 0 < hr.evaluate(trained, data)['adapt_operations']
    True

Other linear models are neighbours, SLIM, ESLER, EASE on neighbours, DAN, which
is EASE on normalised data, and filters on the graph of items:

    >>> for model in (
    ...   hr.item_knn(neighbours=20, shrink=10.0),
    ...   hr.slim(l1=1.0, l2=10.0),
    ...   hr.esler(l2=20.0),
    ...   hr.ease_sparse(l2=20.0, neighbours=20),
    ...   hr.dan(l2=20.0, dropout=0.4, item_power=0.2, user_power=0.2),
    ...   hr.gf_cf(rank=8),
    ...   hr.cheby_cf(rank=8),
    ...   hr.turbo_cf(power=0.7),
    ... ):
    ...   assert hr.evaluate(hr.frozen(model), data)['ndcg@100'] > 0

Implicit ALS learns factors of users and of items. It folds a new user in by an
exact solve:

    >>> factors = hr.updated(hr.ials(dim=8, epochs=2))
    >>> 0 < hr.evaluate(factors, data)['adapt_operations']
    True

Models that read item text are given a function from interactions to features
of their items, and serve catalogues that nobody has touched. MARec reads the
features of each text encoder apart:

    >>> text = hr.features.read(
    ...   [data], 'tfidf', cache_folder=None, num_features=8
    ... )
    >>> new = {'regime': 'new_catalogue', 'budget': 0}
    >>> for model in (
    ...   hr.l3ae(text.units, l2=30.0, l2_features=2.0, trust=0.9),
    ...   hr.cease(text.units, l2=30.0, alpha=3.0),
    ...   hr.marec(text.views, l2=30.0, l2_features=10.0, strength=0.03),
    ... ):
    ...   assert hr.evaluate(hr.retrained(model), data, **new)['ndcg@100'] > 0

HyperEASE generates the weights of such a catalogue from what another one
teaches; its sibling for users generates a correction for each of them, and the
generated head the decoder of a Mult-VAE:

    >>> generator = hr.hyperease(
    ...   text.units, text.own, l2=30.0, l2_features=2.0, trust=0.8,
    ...   relation=0.2, transfer=0.2, popularity=0.2, sharpness=1.0,
    ... )
    >>> 0 < hr.evaluate(hr.generated(generator), data, **new)['ndcg@100']
    True
    >>> for_users = hr.hyperease_user(l2=20.0, rank=4, steps=4)
    >>> 0 < hr.evaluate(hr.generated(for_users), data, budget=1)['ndcg@100']
    True
    >>> head = hr.generated_head(
    ...   base={'hidden_dim': 8, 'latent_dim': 4, 'epochs': 1}, epochs=1
    ... )
    >>> 0 < hr.evaluate(hr.generated(head), data, budget=1)['ndcg@100']
    True

A network can also generate the hyperparameters of L3AE, and the weights of the
views of the text. This takes the place of their tuning:

    >>> composed = hr.catalogue_generator(
    ...   text.views, num_tasks=2, max_items=20, num_queries=8, batch_size=1,
    ...   base_steps=1, steps=1,
    ... )
    >>> 0 < hr.evaluate(hr.generated(composed), data, **new)['ndcg@100']
    True

New items arrive in a catalogue with text and, at a budget of 0, without any
interaction. HyperEASE for items is prepared once on the old items. Then it
generates a column of weights for each new item, which costs less than to
retrain EASE:

    >>> items = {'regime': 'new_items', 'budget': 0}
    >>> columns = hr.generated(hr.item_columns(text.units, l2=20.0))
    >>> grown = hr.evaluate(columns, data, **items)
    >>> refit = hr.retrained(hr.ease(l2=20.0))  # it needs interactions
    >>> refitted = hr.evaluate(refit, data, regime='new_items', budget=1)
    >>> 0 < grown['adapt_operations'] < refitted['adapt_operations']
    True

Catalogues of up to a million items have the same models with weights at the
nearest items only. They are solved in batches, and ranked without scores of all
items:

    >>> near = hr.updated(hr.ease_local(l2=20.0, neighbours=20))
    >>> 0 < hr.evaluate(near, data)['adapt_operations']
    True
    >>> both = hr.l3ae_local(text.units, l2=30.0, neighbours=10, similar=10)
    >>> 0 < hr.evaluate(hr.retrained(both), data, **new)['ndcg@100']
    True
    >>> sparse = hr.generated(hr.local_columns(text.units, similar=10))
    >>> 0 < hr.evaluate(sparse, data, **items)['ndcg@100']
    True

Networks correct these columns; they are trained by hiding old items:

    >>> trained = hr.item_generator(
    ...   text.units, l2=20.0, rank=4, hidden_dim=8, members=1, steps=2
    ... )
    >>> 0 < hr.evaluate(hr.generated(trained), data, **items)['ndcg@100']
    True

Its rivals are content-based neighbours, which read text alone, and models that
learn a map from text: feature-aware iALS, DropoutNet, AlphaRec and two towers.
Random scores are the floor:

    >>> tiny = {'dim': 8, 'hidden_dim': 8, 'steps': 2}
    >>> for method in (
    ...   hr.retrained(hr.random_scores()),
    ...   hr.retrained(hr.content_knn(text.units)),
    ...   hr.frozen(hr.ials_features(text.units, dim=8, epochs=2)),
    ...   hr.retrained(hr.dropoutnet(text.units, epochs=2, **tiny)),
    ...   hr.frozen(hr.alpharec(text.units, num_layers=1, **tiny)),
    ...   hr.frozen(hr.two_tower(text.own, **tiny)),
    ... ):
    ...   assert hr.evaluate(method, data, **items)['ndcg@100'] > 0

Networks: autoencoders, a model of the next item, one that looks codes of text
up, and one that is prompted:

    >>> small = {'hidden_dim': 8, 'latent_dim': 4, 'epochs': 1}
    >>> for model in (
    ...   hr.mult_vae(**small),
    ...   hr.mult_dae(latent_dim=4, epochs=1),
    ...   hr.sasrec(dim=8, num_layers=1, num_heads=1, epochs=1),
    ...   hr.vqrec(text.own, num_groups=2, num_codes=4, dim=8, num_layers=1,
    ...            num_heads=1, hidden_dim=8, epochs=1),
    ...   hr.p5(dim=8, head_dim=8, num_layers=1, vocab_size=300, num_steps=2),
    ... ):
    ...   assert hr.evaluate(hr.frozen(model), data)['ndcg@100'] > 0

PReF infers some coefficients of each user, from shown items or from answers:

    >>> shown = hr.pref(base='svd', rank=3)
    >>> 0 < hr.evaluate(hr.generated(shown), data)['ndcg@100']
    True
    >>> hr.pref_interview(base='svd', rank=3, num_questions=5).config.rank
    3

What cannot be done is refused, with the reason:

    >>> try:
    ...   hr.evaluate(hr.frozen(hr.ease(l2=20.0)), data, budget=0)
    ... except hr.CannotServe as refusal:
    ...   print(refusal)
    ease cannot score users with empty histories
"""

from hyperrec import features
from hyperrec.adapting import finetuned, frozen, generated, retrained, updated
from hyperrec.data.interactions import Interactions
from hyperrec.data.sources import load
from hyperrec.laboratory import evaluate
from hyperrec.method import CannotServe, Histories
from hyperrec.recommender import Recommender, fit
from hyperrec.systems.baselines.popularity import popularity
from hyperrec.systems.baselines.random_scores import random_scores
from hyperrec.systems.baselines.two_tower import two_tower
from hyperrec.systems.factors.dropoutnet import dropoutnet
from hyperrec.systems.factors.ials import ials
from hyperrec.systems.factors.ials_features import ials_features
from hyperrec.systems.graph.alpharec import alpharec
from hyperrec.systems.graph.cheby_cf import cheby_cf
from hyperrec.systems.graph.gf_cf import gf_cf
from hyperrec.systems.graph.turbo_cf import turbo_cf
from hyperrec.systems.hyperease.catalogue_generator import catalogue_generator
from hyperrec.systems.hyperease.hyperease import hyperease
from hyperrec.systems.hyperease.hyperease_user import hyperease_user
from hyperrec.systems.hyperease.item_columns import item_columns
from hyperrec.systems.hyperease.item_generator import item_generator
from hyperrec.systems.hyperease.local_columns import local_columns
from hyperrec.systems.hypernetwork.generated_head import generated_head
from hyperrec.systems.linear.cease import cease
from hyperrec.systems.linear.content_knn import content_knn
from hyperrec.systems.linear.dan import dan
from hyperrec.systems.linear.ease import ease
from hyperrec.systems.linear.ease_dynamic import ease_dynamic
from hyperrec.systems.linear.ease_local import ease_local, l3ae_local
from hyperrec.systems.linear.ease_sparse import ease_sparse
from hyperrec.systems.linear.esler import elsa, esler
from hyperrec.systems.linear.item_knn import item_knn
from hyperrec.systems.linear.l3ae import l3ae
from hyperrec.systems.linear.marec import marec
from hyperrec.systems.linear.slim import slim
from hyperrec.systems.mult_vae.mult_vae import mult_dae, mult_vae
from hyperrec.systems.p5.p5 import p5
from hyperrec.systems.pref.pref import pref
from hyperrec.systems.pref.pref_interview import pref_interview
from hyperrec.systems.sequential.sasrec import sasrec
from hyperrec.systems.vqrec.vqrec import vqrec
