"""Enhancement end to end on a tiny prior: forms, determinism, tiling, options, errors."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import gesso
from gesso.cards import DEFAULTS, ModelCard
from gesso.enhancer import enhance_frame, target_of
from gesso.errors import InputError, ModelError
from gesso.frame import Frame
from gesso.jpeg import JpegCoefficients
from gesso.options import EnhanceOptions
from gesso.runtime import Runtime
from gesso.target import Target

pytestmark = pytest.mark.usefixtures("tiny", "training_free")
FP32 = Runtime(device_name="cpu", dtype_name="fp32")


def photo(width: int = 96, height: int = 80) -> Image.Image:
    """A smooth picture with edges and texture."""
    y, x = np.mgrid[:height, :width] / 16
    waves = np.stack([np.sin(x * k + y) * 80 + 40 * np.sign(np.cos(y * k)) for k in (1, 2, 3)], -1)
    noise = np.random.default_rng(0).normal(0, 12, waves.shape)
    return Image.fromarray((waves + noise + 128).clip(0, 255).astype(np.uint8))


def decoded(quality: int = 20, **size: int) -> Image.Image:
    stream = io.BytesIO()
    photo(**size).save(stream, "JPEG", quality=quality)
    image = Image.open(stream)
    image.load()
    return image


def run(image: object, **options: object) -> np.ndarray:
    merged = {"model": "tiny", "runtime": FP32, **options}
    return np.asarray(gesso.enhance(image, **merged), dtype=np.float64)  # type: ignore[arg-type,type-var]


def test_it_changes_the_picture_and_is_deterministic() -> None:
    image = decoded()
    first = run(image)
    assert np.abs(first - np.asarray(image)).mean() > 0.1
    np.testing.assert_array_equal(first, run(image))
    assert np.abs(first - run(image, seed=1)).mean() > 0.01


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_tradeoff_zero_returns_the_input_bit_for_bit(mode: str) -> None:
    image = photo().convert(mode)
    out = gesso.enhance(image, "jpeg", 20, tradeoff=0.0, model="tiny")
    assert out.mode == mode and out.tobytes() == image.tobytes()


def test_tradeoff_traverses_the_noise_level() -> None:
    image = decoded()
    distance = [
        np.abs(run(image, tradeoff=t) - np.asarray(image)).mean() for t in (0.1, 0.4, 0.7, 1.0)
    ]
    assert distance == sorted(distance) and distance[0] < distance[-1] / 2


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(["RGB", "RGBA", "L", "LA"]),
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([32, 64, 128]),
)
def test_any_size_mode_and_tile_gives_the_same_size_and_mode(
    mode: str, width: int, height: int, tile: int
) -> None:
    image = photo(width, height).convert(mode)
    image.info["comment"] = b"kept"
    runtime = Runtime(device_name="cpu", dtype_name="fp32", tile=tile, overlap=16)
    out = gesso.enhance(image, "jpeg", 30, model="tiny", steps=1, runtime=runtime)
    assert (out.mode, out.size, out.info) == (mode, (width, height), {"comment": b"kept"})
    again = gesso.enhance(image, "jpeg", 30, model="tiny", steps=1, runtime=runtime)
    assert out.tobytes() == again.tobytes()


def test_all_forms_of_one_picture_give_the_same_pixels() -> None:
    image = decoded()
    array = np.asarray(image)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    settings = {"codec": "jpeg", "quality": 20}
    expected = run(image, **settings)
    np.testing.assert_array_equal(expected, run(array, **settings))
    np.testing.assert_array_equal(expected, run(tensor, **settings).transpose(1, 2, 0))
    stack = run(np.stack([array, array[:, ::-1]]), **settings)
    np.testing.assert_array_equal(expected, stack[0])


@pytest.mark.parametrize("steps", [4, 16])
def test_tiled_and_untiled_agree(steps: int) -> None:
    image = Image.fromarray(np.asarray(photo(200, 170)))
    whole = run(image, codec="jpeg", quality=20, steps=steps)
    for tile in (64, 128):
        runtime = Runtime(device_name="cpu", dtype_name="fp32", tile=tile, overlap=32, batch=2)
        tiled = run(image, codec="jpeg", quality=20, steps=steps, runtime=runtime)
        assert np.abs(whole - tiled).max() <= 1.5
        assert np.abs(whole - tiled).mean() <= 0.05


def test_the_embedded_prior_keeps_the_stated_tolerance_across_tilings() -> None:
    from skimage import data

    image = Image.fromarray(data.astronaut()[:320, 100:420])
    options = {"model": None, "sigma": 0.2, "steps": 4}
    whole = run(image, **options)
    runtime = Runtime("cpu", "fp32", tile=256, overlap=128)
    tiled = run(image, **options, runtime=runtime)
    assert np.abs(whole - tiled).max() <= 1.5
    assert np.abs(whole - tiled).mean() <= 0.05


def test_bf16_stays_close_to_fp32() -> None:
    image = decoded()
    half = run(image, runtime=Runtime(device_name="cpu", dtype_name="bf16"))
    assert np.abs(half - run(image)).mean() < 1.0


def test_the_file_tells_its_own_quality() -> None:
    image = decoded(quality=20)
    assert target_of(image) == Target("jpeg", 20)
    np.testing.assert_array_equal(run(image), run(image, codec="jpeg", quality=20))


def test_pixels_tell_the_quality_where_the_file_is_gone() -> None:
    assert target_of(np.asarray(decoded(quality=20, width=256, height=256))) == Target("jpeg", 20)


def test_a_picture_without_a_past_needs_a_target() -> None:
    with pytest.raises(InputError, match="codec= and quality=, or sigma="):
        gesso.enhance(photo(), model="tiny")


def test_an_explicit_sigma_needs_no_target() -> None:
    image = photo()
    a, b = (run(image, sigma=s) for s in (0.05, 0.3))
    assert np.abs(b - np.asarray(image)).mean() > np.abs(a - np.asarray(image)).mean()


def test_sixteen_bits_are_used() -> None:
    array = (np.asarray(photo()).astype(np.uint16) << 8) + 37
    out = run(array, codec="jpeg", quality=20)
    assert out.max() > 255 and len(np.unique(out)) > 1000


def test_progress_counts_every_evaluation() -> None:
    calls: list[tuple[int, int]] = []
    runtime = Runtime(
        "cpu", "fp32", tile=64, overlap=32, batch=2, progress=lambda *at: calls.append(at)
    )
    run(photo(130, 60), codec="jpeg", quality=20, steps=3, runtime=runtime)
    assert calls[-1] == (12, 12)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_threads_give_the_pixels_of_one() -> None:
    image = decoded()
    expected, results = run(image), [None] * 4

    def work(slot: int) -> None:
        results[slot] = run(image)

    threads = [threading.Thread(target=work, args=(slot,)) for slot in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(expected, result)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"preset": "slow"}, "no preset 'slow', only fast, medium"),
        ({"preset": "best"}, "fast, medium, slow"),
        ({"tradeoff": 1.5}, r"tradeoff.*\[0, 1\]"),
        ({"seed": -1}, "seed"),
        ({"codec": "jpeg"}, "go together"),
        ({"codec": "jpg", "quality": 20}, "avif.*jpeg.*webp"),
        ({"codec": "jpeg", "quality": 101}, r"\[1, 100\]"),
        ({"sigma": float("nan")}, "sigma"),
        ({"steps": 0}, "steps"),
    ],
)
def test_bad_options_raise_and_name_the_mend(options: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        run(decoded(), **options)


def test_unknown_models_raise_with_those_there_are() -> None:
    with pytest.raises(ModelError, match=r"no prior named 'nobody'; there are: .*tiny"):
        run(decoded(), model="nobody")


def test_without_a_preprocessor_asking_for_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS, "preprocessor", "gone")
    with pytest.raises(ModelError, match="no preprocessor"):
        gesso.preprocess(photo(), "jpeg", 30, effort="fast")


def test_a_frame_is_enhanced_as_its_picture(tiny: ModelCard) -> None:
    image = decoded()
    options = EnhanceOptions(model="tiny")
    frame = enhance_frame(Frame.of(image), Target("jpeg", 20), options, FP32)
    np.testing.assert_array_equal(np.asarray(frame.restore(), float), run(image))
    with pytest.raises(InputError, match="pass a target or sigma="):
        enhance_frame(Frame.of(image), None, options)


def test_faithful_gives_the_file_again_when_it_is_coded_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jpg"
    photo(121, 91).save(path, quality=30)
    stated = JpegCoefficients.of_file(path.read_bytes())
    shares = []
    for faithful in (False, True):
        with Image.open(path) as image:
            found = gesso.enhance(
                image, model="tiny", sigma=0.1, steps=2, faithful=faithful, runtime=FP32
            )
            stream = io.BytesIO()
            found.save(stream, "JPEG", qtables=image.quantization, subsampling=2)  # type: ignore[attr-defined]
        again = JpegCoefficients.of_file(stream.getvalue())
        pairs = list(zip(stated.components, again.components, strict=True))
        strays = sum(int((a.levels != b.levels).sum()) for a, b in pairs)
        shares.append(strays / sum(a.levels.size for a, _ in pairs))
    assert shares[0] > 0.01 and shares[1] <= 1e-3


def test_faithful_without_a_file_raises() -> None:
    with pytest.raises(InputError, match="not a JPEG file"):
        run(photo(), codec="jpeg", quality=30, faithful=True)
    with pytest.raises(InputError, match="coefficients of a JPEG file"):
        run(photo(), codec="webp", quality=30, faithful=True)
