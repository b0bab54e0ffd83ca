"""One attention layer with random weights, biases and scales, and what each head writes, image by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from belvedere.compute.heads.conventions import Convention
from belvedere.compute.heads.moments import Doubles, Floats, joint_maps, moments


@dataclass(frozen=True)
class Layer:
    """Raw weights of a layer, and the factors and scalars of some images."""

    P: Doubles
    g: Doubles
    b: Doubles
    W_O: Doubles
    out_bias: Doubles
    terms: int
    factor: Floats
    sigma: Floats
    mu: Floats
    norm: Floats

    @property
    def scalars(self) -> tuple[Floats, Floats, Floats]:
        return self.sigma, self.mu, self.norm

    def moments(self) -> Doubles:
        found: Doubles = moments(self.factor, *self.scalars)[0]
        return found

    def joint_maps(self, convention: Convention) -> Doubles:
        centred = self.W_O - self.W_O.mean(axis=1, keepdims=True)
        return joint_maps(
            np.stack([self.P.T @ (self.g[:, None] * W) for W in centred]),
            self.W_O.mean(axis=1),
            self.P.T @ (self.g * (self.out_bias - self.out_bias.mean())),
            float(self.out_bias.mean()),
            gain=self.P.T @ self.g,
            bias=self.P.T @ self.b,
            terms=self.terms,
            convention=convention,
        )

    def contributions(self, convention: Convention) -> Doubles:
        """c "head image joint", written out from the raw weights."""
        heads, share = len(self.W_O), 1 / (self.terms * len(self.W_O))
        c = np.empty((heads, len(self.factor), self.P.shape[1]))
        for head in range(heads):
            for image in range(len(self.factor)):
                sigma, mu, n = (float(scalar[image]) for scalar in self.scalars)
                x = self.W_O[head] @ self.factor[image, 0, head].astype(np.float64)
                if convention == "own":
                    c[head, image] = ((x - x.mean()) * self.g / sigma) @ self.P / n
                else:
                    x = x + self.out_bias / heads - mu * share
                    c[head, image] = (x * self.g / sigma + self.b * share) @ self.P / n
        return c


def layer(
    images: int = 60, *, seed: int = 0, heads: int = 2, head_dim: int = 8, width: int = 40, joint: int = 24
) -> Layer:
    """Every bias and mean is far from zero, and every scale varies."""
    normal = np.random.default_rng(seed).standard_normal
    factor = normal((images, 1, heads, head_dim)) * np.geomspace(2.0, 0.05, head_dim)
    factor += 2 * normal((1, heads, head_dim))
    return Layer(
        P=normal((width, joint)) / np.sqrt(width),
        g=1 + 0.2 * normal(width),
        b=0.3 * normal(width),
        W_O=(normal((heads, width, head_dim)) + 0.2 * normal(head_dim)) / np.sqrt(width),
        out_bias=0.3 + 0.3 * normal(width),
        terms=9,
        factor=factor.astype(np.float32),
        sigma=(1 + 0.1 * normal(images)).astype(np.float32),
        mu=(0.5 + 0.3 * normal(images)).astype(np.float32),
        norm=(10 + normal(images)).astype(np.float32),
    )


def pool(count: int = 200, *, seed: int = 1, joint: int = 24) -> Floats:
    """Unit-norm texts "text joint" about a shared mean."""
    normal = np.random.default_rng(seed).standard_normal
    texts = normal((count, joint)) + 0.5 * normal(joint)
    unit: Floats = (texts / np.linalg.norm(texts, axis=1, keepdims=True)).astype(np.float32)
    return unit
