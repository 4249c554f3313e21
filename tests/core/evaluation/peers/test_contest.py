"""Who takes part in a contest, who does not and why, and what its document holds."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from gesso.codec import Codec, get_codec
from gesso.errors import InputError, ModelError
from gesso.evaluation.document import Document
from gesso.evaluation.measure import measure
from gesso.evaluation.peers import PEERS, Contest, choose, why_not
from gesso.evaluation.pipeline import Peer, Pipeline
from gesso.programs import ProgramError
from gesso.runtime import Runtime

JPEG, WEBP = get_codec("jpeg"), get_codec("webp")
CPU = Runtime(device_name="cpu")


def smoothed(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    return decoded.filter(ImageFilter.SMOOTH)


def crashed(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    raise ProgramError("filter failed (1): out of cheese")


def absent() -> None:
    raise ModelError("no weights; take them from the shelf")


THERE = {
    peer.name: peer
    for peer in (
        Peer("smooth", "enhance", "", after=smoothed),
        Peer("jpeg only", "enhance", "", ("jpeg",), after=smoothed),
        Peer("encoder", "preprocess", "", ("jpeg",), codec=JPEG),
        Peer("slow", "enhance", "", after=smoothed, opt_in="it takes an hour"),
        Peer("absent", "enhance", "", after=smoothed, needs=absent),
        Peer("crashing", "enhance", "", after=crashed),
    )
}


def test_all_that_fit_and_run_take_part() -> None:
    chosen, skipped = choose(THERE, JPEG, "enhance", 20)
    assert list(chosen) == ["smooth", "jpeg only"]
    assert skipped == {
        "slow": "it takes an hour; ask for it by name",
        "absent": "no weights; take them from the shelf",
        "crashing": "crashing cannot finish it: filter failed (1): out of cheese",
    }
    assert list(choose(THERE, JPEG, "preprocess", 20)[0]) == ["encoder"]


def test_those_asked_for_take_part_or_say_why_not() -> None:
    chosen, skipped = choose(THERE, WEBP, "enhance", 20, ["slow", "jpeg only", "encoder"])
    assert list(chosen) == ["slow"]
    assert skipped == {
        "jpeg only": "it is for jpeg, not for webp",
        "encoder": "it works on the side preprocess",
    }


@pytest.mark.parametrize("name", ["plain", "gesso"])
def test_a_peer_cannot_pass_for_a_variant(name: str) -> None:
    chosen, skipped = choose({name: Peer(name, "enhance", "")}, JPEG, "enhance", 20, [name])
    assert not chosen and "must rename it" in skipped[name]


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(InputError, match="no peer named 'x'; there are absent, crashing, encoder"):
        choose(THERE, JPEG, "enhance", 20, ["smooth", "x"])


def test_a_peer_brings_its_own_codec_or_works_with_the_one_under_test() -> None:
    assert THERE["encoder"].pipeline(WEBP).codec == JPEG
    assert THERE["smooth"].pipeline(WEBP) == Pipeline("smooth", WEBP, after=smoothed)


def test_peers_of_the_core_have_names_of_their_own_and_pickle() -> None:
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    assert not {"plain", "gesso"} & {peer.name for peer in PEERS}
    for peer in PEERS:
        assert pickle.loads(pickle.dumps(peer.pipeline(WEBP))).name == peer.name
        assert peer.about


def test_a_trial_that_works_gives_no_reason() -> None:
    assert why_not(THERE["smooth"], WEBP, 20) is None


@pytest.fixture
def contest(files: list[Path]) -> Contest:
    qualities = (10.0, 20.0, 30.0, 45.0, 65.0)
    variants = {
        "plain": (Pipeline("plain", JPEG), qualities),
        "smooth": (THERE["smooth"].pipeline(JPEG), qualities),
    }
    report = measure(files[:1], variants, ["psnr"], CPU, codec="jpeg", side="enhance")
    return Contest(**vars(report), about={"smooth": "a filter"}, skipped={"absent": "no weights"})


def test_the_document_has_deltas_by_variant_and_names_the_skipped(
    contest: Contest, tmp_path: Path
) -> None:
    contest.save(tmp_path / "contest.json")
    document = json.loads((tmp_path / "contest.json").read_text())
    assert document["bd_metric"] == {"smooth": {"psnr": contest.deltas("smooth")["psnr"].metric}}
    assert document["bd_rate"] == {"smooth": {"psnr": contest.deltas("smooth")["psnr"].rate}}
    assert document["bd_metric"]["smooth"]["psnr"] < 0
    assert document["about"] == {"smooth": "a filter"}
    assert document["skipped"] == {"absent": "no weights"}
    assert Document.read(tmp_path / "contest.json").variants == ("plain", "smooth")


def test_a_contest_is_resumed(
    contest: Contest, files: list[Path], tmp_path: Path, stopping: Callable[..., object]
) -> None:
    contest.save(tmp_path / "contest.json")
    variants = {
        "plain": (Pipeline("plain", JPEG), contest.qualities),
        # whatever is measured anew fails
        "smooth": (Pipeline("smooth", JPEG, after=crashed), contest.qualities),
    }
    again = measure(
        files[:1],
        variants,
        ["psnr"],
        CPU,
        codec="jpeg",
        side="enhance",
        resume=tmp_path / "contest.json",
    )
    assert again.pictures == contest.pictures
