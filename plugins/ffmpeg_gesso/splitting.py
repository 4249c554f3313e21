"""A filtergraph cut at its gesso nodes: what runs before each, and what runs after all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ffmpeg_gesso.filtergraph import Filter, Graph, pairs
from gesso.errors import InputError

__all__ = ["NODE", "Node", "Split", "split"]

NODE = "gesso"
MARK = "gesso_"  # labels of ours begin so
STREAM = re.compile(r"\d+(:|$)|dec:")

# The kind of output that a filter of some name has, as ffmpeg lists it: "A", "V" or "N".
Kinds = Callable[[str], str]


@dataclass(frozen=True, eq=False)
class Node:
    """A gesso node.

    Attributes:
        arguments: its options, as the filter would get them.
        source: label of what it takes; empty for whatever input is free.
        sink: label of what it gives; empty where it ends an unlabelled chain.
    """

    arguments: str
    source: str
    sink: str


@dataclass(frozen=True)
class Split:
    """A graph whose gesso nodes stand apart.

    Attributes:
        nodes: in the order of the source.
        chains: all other filters; labels link them to one another and to the nodes.
        scaler: see Graph.
    """

    nodes: tuple[Node, ...]
    chains: tuple[tuple[Filter, ...], ...]
    scaler: str

    def before(self, node: Node, end: str, kinds: Kinds) -> tuple[Graph, list[Node]]:
        """The graph whose only output is what ``node`` takes, and the nodes it needs itself.

        Args:
            node: one of ``nodes``.
            end: filters to put last, followed by their labels.
            kinds: see Kinds.
        """
        last = (Filter(end, (node.source,) if node.source else ()),)
        return self._part([last], kinds, keep_ends=False)

    def after(self, heads: Mapping[Node, str], kinds: Kinds) -> Graph:
        """The graph behind the nodes.

        Args:
            heads: for each node of :attr:`final` the filters, input label first, that stand
                in its place.
            kinds: see Kinds.
        """
        roots = [chain for chain in self.chains if self._is_final(chain)]
        chains, _ = self._part(roots, kinds, keep_ends=True)
        front = tuple(
            (Filter(text, outputs=(node.sink,) if node.sink else ()),)
            for node, text in heads.items()
        )
        return replace(chains, chains=front + chains.chains)

    @property
    def final(self) -> list[Node]:
        """The nodes whose pictures go into the last process, each once."""
        roots = [chain for chain in self.chains if self._is_final(chain)]
        _, needed = self._part(roots, lambda name: "V", keep_ends=True)
        open_ends = [node for node in self.nodes if node.sink not in self._taken()]
        return [node for node in self.nodes if node in needed or node in open_ends]

    def _taken(self) -> set[str]:
        taken = {label for chain in self.chains for each in chain for label in each.inputs}
        return (taken | {node.source for node in self.nodes}) - {""}

    def _is_final(self, chain: tuple[Filter, ...]) -> bool:
        """Whether something of a chain leaves the graph."""
        labels = [label for each in chain for label in each.outputs]
        return not chain[-1].outputs or any(label not in self._taken() for label in labels)

    def _part(
        self, roots: Iterable[tuple[Filter, ...]], kinds: Kinds, keep_ends: bool
    ) -> tuple[Graph, list[Node]]:
        """The chains that feed ``roots``, these included; and the nodes that feed those."""
        makers = {label: chain for chain in self.chains for f in chain for label in f.outputs}
        sinks = {node.sink: node for node in self.nodes if node.sink}
        wanted = list(roots)
        own = list(wanted)
        needed: list[Node] = []
        at = 0
        while at < len(wanted):
            for label in (label for each in wanted[at] for label in each.inputs):
                if label in sinks:
                    if sinks[label] not in needed:
                        needed.append(sinks[label])
                elif label in makers:
                    if makers[label] not in wanted:
                        wanted.append(makers[label])
                elif not STREAM.match(label):
                    raise InputError(f"filtergraph: no filter gives [{label}]")
            at += 1
        taken = {label for chain in wanted for each in chain for label in each.inputs}
        elsewhere = self._taken() - taken
        chains: list[tuple[Filter, ...]] = []
        for chain in wanted:
            sunk = self._sunk(chain, taken, elsewhere if keep_ends else None, kinds)
            if not keep_ends and chain not in own and not chain[-1].outputs:
                last = chain[-1]
                chain = (*chain[:-1], last, Filter(_drain(last, 0, kinds)))
            chains += [chain, *sunk]
        return Graph(tuple(chains), self.scaler), needed

    @staticmethod
    def _sunk(
        chain: tuple[Filter, ...], taken: set[str], only: set[str] | None, kinds: Kinds
    ) -> list[tuple[Filter, ...]]:
        """Drains for the labels that nothing takes in this part; ``only`` these, if given."""
        return [
            (Filter(_drain(each, pad, kinds), (label,)),)
            for each in chain
            for pad, label in enumerate(each.outputs)
            if label not in taken and (only is None or label in only)
        ]


def split(graph: Graph, prefix: str) -> Split:
    """Set the gesso nodes of a graph apart.

    Args:
        graph: with nodes or without.
        prefix: makes the labels of this graph its own.

    Raises:
        InputError: a node with more than one input or output.
    """
    nodes: list[Node] = []
    chains: list[tuple[Filter, ...]] = []
    for chain in graph.chains:
        part: list[Filter] = []
        carried = ""  # the label that the next filter takes beside its own
        for place, each in enumerate(chain):
            if carried and each.name != NODE:
                # libavfilter, too, gives labels the first pads
                each = replace(each, inputs=(*each.inputs, carried))
                carried = ""
            if each.name != NODE:
                part.append(each)
                continue
            if len(each.inputs) + bool(part) + bool(carried) > 1 or len(each.outputs) > 1:
                raise InputError("a gesso node has one input and one output")
            count = len(nodes)
            source = each.inputs[0] if each.inputs else carried
            if part:
                source = f"{MARK}{prefix}{count}in"
                part[-1] = replace(part[-1], outputs=(*part[-1].outputs, source))
                chains.append(tuple(part))
                part = []
            follows = place + 1 < len(chain)
            if follows and each.outputs:
                raise InputError("a gesso node has one output; ',' after its label finds none")
            sink = f"{MARK}{prefix}{count}out" if follows else "".join(each.outputs)
            carried = sink if follows else ""
            nodes.append(Node(each.arguments, source, sink))
        if part:
            chains.append(tuple(part))
    return Split(tuple(nodes), tuple(chains), graph.scaler)


def _drain(each: Filter, pad: int, kinds: Kinds) -> str:
    kind = kinds(each.name)
    if each.name == "concat":
        counts = dict(pairs(each.arguments))
        kind = "A" if pad >= int(counts.get("v", "1")) else "V"
    return "anullsink" if kind == "A" else "nullsink"
