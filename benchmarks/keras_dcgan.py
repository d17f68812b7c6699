"""The step of a DCGAN in Keras 3 on TensorFlow: an arm of `step.py`, in an environment of its own.

    python -m venv .venv-keras && .venv-keras/bin/pip install keras==3.15.0 tensorflow-cpu==2.21.0
    python benchmarks/step.py --networks dcgan --keras .venv-keras/bin/python

Layers and losses are those of `sparring.networks.dcgan` with depth 1, and the step is that of Keras' example of a DCGAN
(https://keras.io/examples/generative/dcgan_overriding_train_step/): the discriminator sees real and generated pictures
in one pass, the generator makes new ones for its own update, and all of it is one `tf.function`, with or without XLA.

Started by `step.py`, it says how many parameters the players have, takes a step for each line on standard input, and
answers with the seconds that this took.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}

import keras
import numpy as np
import tensorflow as tf
from keras import layers

Z = 64
PICTURES = 1024
DOUBLINGS = 3
NORMAL = keras.initializers.RandomNormal(stddev=0.02)


def channels(side: int, width: int) -> list[int]:
    """Of the grids between the picture and 4x4, finest first."""
    grids = (side // 4).bit_length() - 1
    return [width * 2 ** min(stage, DOUBLINGS) for stage in range(grids)]


def normalised() -> layers.Layer:
    """As PyTorch has it, over all channels and pixels of a sample."""
    return layers.GroupNormalization(groups=1, epsilon=1e-5)


def generator(side: int, width: int) -> keras.Model:
    """z (N, 64) to pictures (N, side, side, 3)."""
    wide = channels(side, width)
    steps: list[Any] = [keras.Input((Z,)), layers.Dense(16 * wide[-1], use_bias=False, kernel_initializer=NORMAL)]
    steps += [layers.Reshape((4, 4, wide[-1])), normalised(), layers.ReLU()]
    shape: dict[str, Any] = {"strides": 2, "padding": "same", "use_bias": False, "kernel_initializer": NORMAL}
    for after in reversed(wide[:-1]):
        steps += [layers.Conv2DTranspose(after, 4, **shape), normalised(), layers.ReLU()]
    # The last layer is in float32 whatever the policy, as in ours.
    steps += [layers.Conv2DTranspose(3, 4, activation="tanh", dtype="float32", **shape)]
    return keras.Sequential(steps)


def discriminator(side: int, width: int) -> keras.Model:
    """Pictures (N, side, side, 3) to logits (N, 1)."""
    steps: list[Any] = [keras.Input((side, side, 3))]
    for number, after in enumerate(channels(side, width)):
        shape: dict[str, Any] = {"strides": 2, "padding": "same", "use_bias": False, "kernel_initializer": NORMAL}
        steps += [layers.Conv2D(after, 4, **shape), *([normalised()] if number else []), layers.LeakyReLU(0.2)]
    return keras.Sequential([*steps, layers.Flatten(), layers.Dense(1, dtype="float32")])


class Game:
    """Both players, their optimisers, and the pictures, which are noise."""

    def __init__(self, side: int, width: int, batch: int) -> None:
        self.batch = batch
        self.generator, self.discriminator = generator(side, width), discriminator(side, width)
        self.of_generator, self.of_discriminator = (keras.optimizers.Adam(2e-4, beta_1=0.5, beta_2=0.99) for _ in "GD")
        self.of_generator.build(self.generator.trainable_variables)
        self.of_discriminator.build(self.discriminator.trainable_variables)
        self.seeds = keras.random.SeedGenerator(0)
        pixels = np.random.default_rng(0).integers(0, 256, (PICTURES, side, side, 3), np.uint8)
        pictures = tf.data.Dataset.from_tensor_slices(pixels.astype(np.float32) / 127.5 - 1)
        self.batches = iter(pictures.shuffle(PICTURES).repeat().batch(batch, drop_remainder=True).prefetch(1))

    def train_step(self, real: tf.Tensor) -> tf.Tensor:
        """One update of the discriminator, then one of the generator; the loss of the latter."""
        fake = self.generator(keras.random.normal((self.batch, Z), seed=self.seeds))
        with tf.GradientTape() as tape:
            on_real, on_fake = tf.split(self.discriminator(tf.concat([real, fake], 0)), 2)
            loss = tf.reduce_mean(tf.nn.softplus(-on_real)) + tf.reduce_mean(tf.nn.softplus(on_fake))
        learning = self.discriminator.trainable_variables
        self.of_discriminator.apply(tape.gradient(loss, learning), learning)

        latents = keras.random.normal((self.batch, Z), seed=self.seeds)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.softplus(-self.discriminator(self.generator(latents))))
        learning = self.generator.trainable_variables
        self.of_generator.apply(tape.gradient(loss, learning), learning)
        return loss


def seconds(step: Callable[[], tf.Tensor]) -> float:
    """Of one step, until its loss is there."""
    before = time.perf_counter()
    loss = float(step())
    assert np.isfinite(loss)
    return time.perf_counter() - before


def main() -> None:
    """Reads the arguments, builds the players, and answers lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--side", type=int, required=True, help="4 times a power of 2, at least 8")
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--xla", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if arguments.bf16:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    game = Game(arguments.side, arguments.width, arguments.batch)
    train_step = tf.function(game.train_step, jit_compile=arguments.xla)
    train_step(next(game.batches))  # traced and compiled here
    counts = {"generator": game.generator.count_params(), "discriminator": game.discriminator.count_params()}
    print(json.dumps(counts), flush=True)
    for _ in sys.stdin:
        print(seconds(lambda: train_step(next(game.batches))), flush=True)


if __name__ == "__main__":
    main()
