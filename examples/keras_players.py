"""Generator and discriminator written in Keras: in the usual loop of introductions, and in the game of this library.

KERAS_BACKEND=torch python examples/keras_players.py [OUT] [IMAGES]     a few minutes on a CPU; needs keras>=3.15

On the backend of PyTorch a Keras model is a module of PyTorch, so that the trainer takes it like any other, with the
relativistic loss and its penalties, which differentiate twice. The same two models are trained on the digits twice for
as many images:

- as introductions do it: `train_on_batch` of the discriminator by binary cross-entropy, then of the generator through
  a combined model in which the discriminator stands still, both with Adam;
- by `sparring.train` with all that it chooses.

Both are judged in the same way. What goes wrong in the first is what this library is about: nothing keeps the
discriminator from winning, the last weights are taken and not their average, and nobody looks at how much of the data
comes out.
"""

import copy
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault(
    "KERAS_TORCH_DEVICE", "cpu"
)  # Keras would move inputs to a GPU, and models that are loaded are on the CPU

import keras
import numpy as np
import torch
from keras import layers
from sklearn.datasets import load_digits
from torch import Tensor, nn

import sparring
from sparring import networks

Z_DIM = 32


def generator(z_dim: int, width: int) -> keras.Model:
    """z (N, z_dim) to grey pictures (N, 8, 8, 1) in [-1, 1]."""
    return keras.Sequential(
        [
            keras.Input((z_dim,)),
            layers.Dense(2 * 2 * 4 * width),
            layers.LeakyReLU(0.2),
            layers.Reshape((2, 2, 4 * width)),
            layers.Conv2DTranspose(2 * width, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(width, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(1, 3, padding="same", activation="tanh"),
        ]
    )


def discriminator(width: int) -> keras.Model:
    """Pictures (N, 8, 8, 1) to logits (N, 1)."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(2 * width, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(4 * width, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )


class Player(nn.Module):
    """A Keras model among modules of PyTorch.

    Its weights are named by their order: the names that Keras gives count how many models there were before, and a run
    that is loaded again should find its own.
    """

    def __init__(self, build: Callable[[], keras.Model]) -> None:
        super().__init__()
        self.build = build
        model = build()
        self.weights = nn.ParameterList(variable.value for variable in model.trainable_variables)
        # Not as a part of this module, which would have each weight by a second name.
        self.__dict__["model"] = model

    def __deepcopy__(self, memo: dict[int, Any]) -> "Player":
        twin = copy.copy(self)
        Player.__init__(twin, self.build)
        twin.load_state_dict(self.state_dict())
        return twin.train(self.training)


class Generator(Player):
    """A family's generator; see `sparring.networks`."""

    def __init__(self, shape: tuple[int, int, int], *, z_dim: int, classes: int = 0, width: int, depth: int) -> None:
        assert shape == (1, 8, 8) and not classes, "this generator makes the digits, of any class"
        super().__init__(lambda: generator(z_dim, width))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """z (N, z_dim) to (N, 1, 8, 8): Keras has its channels last."""
        pictures: Tensor = self.model(z).permute(0, 3, 1, 2)
        return pictures


class Discriminator(Player):
    """A family's discriminator; see `sparring.networks`."""

    def __init__(
        self, shape: tuple[int, int, int], *, classes: int = 0, width: int, depth: int, spectral_norm: bool = False
    ) -> None:
        assert shape == (1, 8, 8) and not classes and not spectral_norm, "this discriminator is for the digits"
        super().__init__(lambda: discriminator(width))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, 1, 8, 8) to logits (N,)."""
        logits: Tensor = self.model(x.permute(0, 2, 3, 1)).squeeze(1)
        return logits


networks.register("keras", networks.Family(Generator, Discriminator, "convolutions written in Keras, for the digits"))


def introductory_loop(images: int, width: int, batch: int = 64) -> np.ndarray:
    """Samples uint8 (1797, 8, 8) after training as introductions do."""
    pictures = (load_digits().images[..., None] / 8 - 1).astype("float32")
    maker, judge = generator(Z_DIM, width), discriminator(width)
    gan_loss = keras.losses.BinaryCrossentropy(from_logits=True)
    judge.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), gan_loss)
    judge.trainable = False
    combined = keras.Sequential([maker, judge])
    combined.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), gan_loss)
    random = np.random.default_rng(0)
    ones, zeros = np.ones((batch, 1), "float32"), np.zeros((batch, 1), "float32")
    for _ in range(images // batch):
        real = pictures[random.integers(len(pictures), size=batch)]
        made = maker.predict_on_batch(random.standard_normal((batch, Z_DIM), dtype="float32"))
        judge.trainable = True
        judge.train_on_batch(np.concatenate([real, made]), np.concatenate([ones, zeros]))
        judge.trainable = False
        combined.train_on_batch(random.standard_normal((batch, Z_DIM), dtype="float32"), ones)
    made = maker.predict(random.standard_normal((len(pictures), Z_DIM), dtype="float32"), verbose=0)
    return ((made[..., 0] + 1) * 127.5).round().clip(0, 255).astype("uint8")


def main() -> None:
    """Trains twice and compares."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/keras")
    images = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    width = 32
    torch.manual_seed(0)
    keras.utils.set_random_seed(0)
    run = sparring.train("digits", out=out, network="keras", width=width, z_dim=Z_DIM, images=images, device="cpu")
    began = time.perf_counter()
    np.save(out / "introductory.npy", introductory_loop(images, width))
    took = {"introductory loop": time.perf_counter() - began, "sparring.train": float(run.summary()["seconds"])}
    for name, what in (("introductory loop", out / "introductory.npy"), ("sparring.train", run.folder)):
        found = sparring.evaluate("digits", what, metrics="fid,precision,recall,coverage")
        numbers = {metric: round(result.value, 3) for metric, result in found.metrics.items()}
        print(f"{name}: {images / took[name]:,.0f} images/s, {numbers}")


if __name__ == "__main__":
    main()
