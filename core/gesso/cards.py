"""Model cards: what a model is, where its weights are, and how to load it safely."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from gesso.errors import InputError, ModelError
from gesso.files import replacing
from gesso.runtime import Runtime

__all__ = [
    "DEFAULTS",
    "ModelCard",
    "Role",
    "default_prior",
    "embedded",
    "get_model",
    "load",
    "models",
    "register_model",
]

Role = Literal["prior", "estimator", "preprocessor", "codec", "autoencoder"]
WEIGHTS = Path(__file__).parent / "weights"
Factory = Callable[["ModelCard", Runtime], Any]
DEFAULTS: dict[Role, str] = {
    "prior": "prior",
    "estimator": "posterior-mean",
    "preprocessor": "preprocessor",
    "codec": "hyperprior-2",
    "autoencoder": "autoencoder",
}
# Samplers of consistency models; the others need a prior that was not distilled.
CONSISTENCY = ("one-step", "multistep")


@dataclass(frozen=True)
class ModelCard:
    """A model: ``card.json`` beside its safetensors.

    Attributes:
        name: unique name, as users write it.
        role: what it is for.
        factory: ``"package.module:function"``, called as ``function(card, runtime)``
            on first use; it returns a :class:`gesso.denoiser.Denoiser` for a prior, an
            :class:`gesso.estimator.Estimator` for an estimator, a network of CompressAI's
            for a codec, a :class:`gesso.autoencoder.Autoencoder` for an autoencoder.
        folder: where config.json and the weights are.
        weights: file name of the safetensors.
        sha256: of that file, in hex.
        summary: one line for people.
        licence: of the weights.
        data: what it was trained on.
        recipe: the command that trained it.
        seed: of that run.
        figures: measured values, each with the command that prints it.
        settings: what the operation needs, such as noise tables and presets.
    """

    name: str
    role: Role
    factory: str
    folder: Path
    weights: str
    sha256: str
    summary: str = ""
    licence: str = ""
    data: str = ""
    recipe: str = ""
    seed: int = 0
    figures: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise ModelError(
                f"model {self.name!r} has role {self.role!r}; "
                f"use one of {', '.join(get_args(Role))}"
            )
        if Path(self.weights).suffix != ".safetensors" or Path(self.weights).name != self.weights:
            raise ModelError(
                f"model {self.name!r} names weights {self.weights!r}; "
                "only a safetensors file beside its card is loaded"
            )

    @classmethod
    def read(cls, folder: str | Path) -> ModelCard:
        """Read ``folder/card.json``; raises ModelError naming what is wrong in it."""
        path = Path(folder) / "card.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(folder=path.parent, **content)
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{path} is not a model card: {error}") from error

    def write(self) -> Path:
        """Write ``card.json`` into the folder, with the SHA-256 of the weights as they are."""
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        card = asdict(replace(self, sha256=digest))
        del card["folder"]
        target = self.folder / "card.json"
        with replacing(target) as path:
            path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        return target

    @property
    def path(self) -> Path:
        """The weights file."""
        return self.folder / self.weights

    def verify(self) -> Path:
        """The weights file, once its SHA-256 is the card's; else raises ModelError."""
        try:
            with self.path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(
                f"weights of {self.name!r} cannot be read ({error}); reinstall gesso"
            ) from error
        if digest != self.sha256:
            raise ModelError(
                f"{self.path.name} of {self.name!r} has SHA-256 {digest[:12]}..., "
                f"its card states {self.sha256[:12]}...; reinstall, or train it anew"
            )
        return self.path

    def make(self, runtime: Runtime) -> Any:
        """Build the model through its factory; nothing is fetched from anywhere."""
        module, _, function = self.factory.partition(":")
        try:
            factory: Factory = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            raise ModelError(
                f"model {self.name!r} cannot be built by {self.factory!r}: {error}"
            ) from error
        return factory(self, runtime)


@lru_cache(maxsize=1)
def embedded() -> tuple[ModelCard, ...]:
    """The cards of the models that ship inside the wheel."""
    return tuple(ModelCard.read(path.parent) for path in sorted(WEIGHTS.glob("*/card.json")))


_registry: dict[str, ModelCard] = {}


def register_model(card: ModelCard) -> None:
    """Make a model known by its name; another one of the same name raises ModelError."""
    known = _catalogue().get(card.name)
    if known is not None and known != card:
        raise ModelError(f"a model named {card.name!r} is registered already; rename yours")
    _registry[card.name] = card


def _catalogue() -> dict[str, ModelCard]:
    return {card.name: card for card in embedded()} | _registry


def models(role: Role | None = None) -> dict[str, ModelCard]:
    """The models there are, by name; embedded ones, and those that plug-ins registered."""
    return {n: card for n, card in _catalogue().items() if role in (None, card.role)}


def get_model(name: str | None, role: Role) -> ModelCard:
    """The card of that name and role; ``None`` is the default of the role.

    A name may be a folder, ours or diffusers', or ``hf:owner/name`` on the Hugging Face hub,
    the one form that may open a connection; see :mod:`gesso.checkpoints`. The autoencoder of a
    pipeline's folder is the one in its ``vae``, and goes by that path.

    Raises:
        ModelError: no such model; the message lists those there are.
    """
    from gesso.checkpoints import card_of

    there = models(role)
    wanted = DEFAULTS[role] if name is None else name
    if wanted in there:
        return there[wanted]
    known = models().get(wanted)
    # A folder that is known as a prior may hold an autoencoder too.
    if known is None or (known.role != role and known.name == str(known.folder)):
        card = card_of(wanted, role)
        if card is not None:
            # Under its path, and read once: the next look-up neither reads nor hashes the folder.
            _registry[card.name] = card
            if card.role == role:
                return card
            wanted = card.name
    listed = ", ".join(sorted(there)) or f"no {role} yet"
    if wanted in models():
        raise ModelError(f"model {wanted!r} is no {role}; there are: {listed}")
    raise ModelError(
        f"no {role} named {wanted!r}; there are: {listed}, and any folder that holds one. "
        "Third-party ones are known after gesso_hooks.load()"
        + ("; efforts medium and max do without one" if role == "preprocessor" else "")
    )


def default_prior(sampler: str | None = None, posterior_mean: bool = True) -> str:
    """The prior where the user names none.

    Args:
        sampler: that it is for; None is the preset's.
        posterior_mean: whether it may begin from an estimate; else nothing of it has seen a
            decode.
    """
    if sampler not in (None, *CONSISTENCY):
        return DEFAULTS["prior"]
    return "consistency-decoded" if posterior_mean else "consistency"


@lru_cache(maxsize=4)
def _make(card_key: str, sha256: str, device: str, dtype: str, compiled: bool) -> Any:
    runtime = Runtime(device_name=device, dtype_name=dtype, compiled=compiled)
    return _catalogue()[card_key].make(runtime)


def load(name: str | None = None, role: Role = "prior", runtime: Runtime | None = None) -> Any:
    """A ready model, kept for the next call with the same device and dtype.

    Args:
        name: of the model; None is the default of ``role``.
        role: ``prior`` gives a :class:`gesso.denoiser.Denoiser`, ``estimator`` an
            :class:`gesso.estimator.Estimator`, ``codec`` a network of CompressAI's,
            ``autoencoder`` a :class:`gesso.autoencoder.Autoencoder`.
        runtime: where it runs.

    Raises:
        ModelError: unknown, damaged or not loadable.
    """
    card = get_model(name, role)
    where = runtime or Runtime()
    if where.dtype_name not in ("auto", "fp32", "bf16"):
        raise InputError(f"dtype must be auto, fp32 or bf16, got {where.dtype_name!r}")
    return _make(card.name, card.sha256, str(where.device), where.dtype_name, where.compiled)
