"""The numbers of torch-fidelity for the same features.

It runs in a process of its own with stand-ins for torchvision and tqdm, which it imports and does not need here.
"""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from sparring.metrics.frechet import frechet_estimate
from sparring.metrics.inception import inception_score
from sparring.metrics.kernel import kernel_distance
from sparring.metrics.manifold import precision_recall_density_coverage

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch_fidelity") is None, reason="needs torch-fidelity")

SCRIPT = """
import json, sys
from types import ModuleType
from unittest.mock import MagicMock

for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):
    sys.modules[name] = MagicMock()
for name in ("CIFAR10", "STL10", "CIFAR100"):
    setattr(sys.modules["torchvision.datasets"], name, type(name, (), {}))
try:
    import tqdm
except ImportError:
    sys.modules["tqdm"] = ModuleType("tqdm")
    sys.modules["tqdm"].tqdm = lambda items, **_: items

import numpy as np
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

arrays = {name: torch.from_numpy(array) for name, array in np.load(sys.argv[1]).items()}
real, fake = arrays["real"], arrays["fake"]
measured = fid_statistics_to_metric(fid_features_to_statistics(fake), fid_features_to_statistics(real), False)
measured |= kid_features_to_metric(fake, real, kid_subsets=1, kid_subset_size=len(real), verbose=False)
measured |= isc_features_to_metric(arrays["logits"], splits=7, shuffle=False)
measured |= prc_features_to_metric(fake, real, prc_neighborhood=3, verbose=False)
print(json.dumps(measured))
"""


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Features and logits, and what torch-fidelity measures on them."""
    random = np.random.default_rng(0)
    arrays = {
        "real": random.normal(size=(300, 24)),
        "fake": random.normal(0.2, 1.1, size=(300, 24)),
        "logits": 3 * random.normal(size=(305, 12)),
    }
    path = tmp_path_factory.mktemp("features") / "features.npz"
    np.savez(path, **arrays)
    finished = subprocess.run([sys.executable, "-c", SCRIPT, path], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return arrays, json.loads(finished.stdout.splitlines()[-1])


def test_frechet_distance(case):
    arrays, expected = case
    assert frechet_estimate(arrays["real"], arrays["fake"]).value == pytest.approx(
        expected["frechet_inception_distance"], rel=1e-10
    )


def test_kernel_distance_of_one_subset_of_all_samples(case):
    arrays, expected = case
    assert kernel_distance(arrays["real"], arrays["fake"]).value == pytest.approx(
        expected["kernel_inception_distance_mean"], rel=1e-10
    )


def test_inception_score(case):
    arrays, expected = case
    probabilities = torch.from_numpy(arrays["logits"]).softmax(1)
    assert inception_score(probabilities, 7).value == pytest.approx(expected["inception_score_mean"], rel=1e-12)


def test_precision_and_recall(case):
    arrays, expected = case
    measured = precision_recall_density_coverage(arrays["real"], arrays["fake"], 3)
    assert measured.precision == pytest.approx(expected["precision"], abs=1e-7)
    assert measured.recall == pytest.approx(expected["recall"], abs=1e-7)
