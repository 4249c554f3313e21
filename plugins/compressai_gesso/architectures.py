"""The classes behind the zoo's entries, for checkpoints and for the model registry."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, ClassVar, Self

from compressai_gesso.asking import ambient
from compressai_gesso.checkpoints import build, network_class
from compressai_gesso.files import FileModel
from compressai_gesso.latent import LatentModel
from compressai_gesso.sandwich import OWN, Sandwich, base_state
from gesso.errors import InputError

__all__ = ["FILES", "LATENT", "NETWORKS", "PREFIX", "architectures", "class_of"]

PREFIX = "gesso-"
# An architecture of CompressAI's registry, and the codec whose quality scale it has.
NETWORKS = {
    "bmshj2018-factorized": "bmshj2018-factorized",
    "bmshj2018-factorized-relu": "bmshj2018-factorized",
    "bmshj2018-hyperprior": "bmshj2018-hyperprior",
    "mbt2018-mean": "mbt2018-mean",
    "mbt2018": "mbt2018",
    "cheng2020-anchor": "cheng2020-anchor",
    "cheng2020-attn": "cheng2020-attn",
    "bmshj2018-hyperprior-vbr": "bmshj2018-hyperprior",
    "mbt2018-mean-vbr": "mbt2018-mean",
    "mbt2018-vbr": "mbt2018",
    "elic2022-official": "mbt2018",
    "hyperprior": "hyperprior",
}
FILES = ("jpeg", "webp", "avif", "hevc", "vvc")
LATENT = "latent"
SANDWICH_KEYWORDS = (
    "target", "quality", "genuine", "weights",
    "preprocess", "enhance", "preset", "tradeoff", "seed", "runtime",
)  # fmt: skip


class _Architecture(Sandwich):
    """A sandwich that builds its base model itself.

    Args:
        widths: of the base model's class, by place or name.
        keywords: of :class:`Sandwich`; all others are the base model's, too.
    """

    architecture: ClassVar[str]

    def __init__(self, *widths: Any, **keywords: Any) -> None:
        own = {k: keywords.pop(k) for k in SANDWICH_KEYWORDS if k in keywords}
        base = network_class(self.architecture)(*widths, **keywords)
        super().__init__(base, codec=NETWORKS[self.architecture], **own)

    @classmethod
    def of(cls, base: Any, **keywords: Any) -> Self:
        """Around a base model that there is already; ``keywords`` as of :class:`Sandwich`."""
        made = cls.__new__(cls)
        Sandwich.__init__(made, base, codec=NETWORKS[cls.architecture], **keywords)
        return made

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Any], **keywords: Any) -> Self:
        """From a sandwich's state dict, or one of the base model alone."""
        state, quality = base_state(state_dict)
        found = build(cls.architecture, state)
        return cls.of(found, **{"quality": quality, **ambient(), **keywords})


class _File(FileModel):
    """A :class:`FileModel` of one codec."""

    kind: ClassVar[str]

    def __init__(self, quality: int, **keywords: Any) -> None:
        super().__init__(self.kind, quality, **keywords)

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Any], **keywords: Any) -> Self:
        """From a model's own state dict, of which there is the quality alone.

        Raises:
            InputError: it states none.
        """
        if OWN not in state_dict:
            raise InputError(
                f"this is no checkpoint of {PREFIX}{cls.kind}; build it by its quality"
            )
        return cls(int(state_dict[OWN]), **{**ambient(), **keywords})


def _title(name: str) -> str:
    return "Gesso" + "".join(part.capitalize() for part in name.split("-"))


def class_of(name: str) -> Any:
    """The class of an entry, by its name without the prefix."""
    return globals()[_title(name)]


def architectures(models: Container[str]) -> dict[str, Any]:
    """The classes by the names of their entries, as far as CompressAI has their base."""
    names = [name for name in NETWORKS if name in models or name == "hyperprior"]
    return {PREFIX + name: class_of(name) for name in (*names, *FILES, LATENT)}


# By name in this module, so that models can be pickled.
for _name in NETWORKS:
    _body = {"architecture": _name, "__module__": __name__, "__doc__": f"{_name} between gesso."}
    globals()[_title(_name)] = type(_title(_name), (_Architecture,), _body)
for _name in (*FILES, LATENT):
    _body = {"kind": _name, "__module__": __name__, "__doc__": f"{_name} files between gesso."}
    _bases = (_File, LatentModel) if _name == LATENT else (_File,)
    globals()[_title(_name)] = type(_title(_name), _bases, _body)
