"""`gesso bench speed`: throughput of each preset, and how much of the machine that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import GessoError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, bar, one_line
from gesso_cli.evaluate import treatment
from gesso_cli.priors import Models, Presets, priors_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["speed"]


def speed(
    presets: Presets = "fast,medium,slow",
    side: Annotated[
        int, typer.Option(min=64, max=16384, help="Of the square picture, in pixels.")
    ] = 512,
    codec: Annotated[str, typer.Option(help="What codes it; see gesso codecs.")] = "jpeg",
    quality: Annotated[float, typer.Option("--quality", "-q", help="On the codec's scale.")] = 20,
    repeats: Annotated[
        int, typer.Option(min=1, help="Times of which the shortest counts, after one unclocked.")
    ] = 2,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="Compile networks with torch.compile; with CUDA graphs on CUDA."
        ),
    ] = False,
    training_free: o.TrainingFree = False,
    model: Models = None,
    json: o.Json = False,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
    tile: o.Tile = 1024,
) -> None:
    """Print megapixels per second of each preset, and its share of the convolution peak.

    The peak is that of large 3 x 3 convolutions of 192 and 256 channels in the same dtype and
    memory layout, measured in the same run; operations are those of matrix products and
    convolutions, two a multiply-add. Only the ratio says much on a machine that is shared.
    """
    from dataclasses import replace

    from gesso.codec import get_codec
    from gesso.evaluation.machine import describe_machine
    from gesso.evaluation.throughput import convolution_peak, measure_speed
    from gesso.options import EnhanceOptions

    runtime = replace(o.runtime_of(device, dtype, tile), compiled=compiled)
    priors, skipped = priors_of(o.names(presets), model, training_free)
    coder, treat = get_codec(codec), treatment("enhance")
    rows: list[dict[str, Any]] = []
    with bar("presets") as tick:
        tick(0, len(priors))
        for done, (preset, card) in enumerate(priors.items(), start=1):
            options = EnhanceOptions(card.name, preset, posterior_mean=not training_free)  # type: ignore[arg-type]
            try:
                found = measure_speed(coder, quality, side, options, runtime, treat, repeats)
            except GessoError as error:
                skipped[preset] = str(error)
                continue
            # beside each preset, so that what else the machine does weighs on both
            peak = convolution_peak(runtime.device, runtime.dtype)
            rows.append(
                {
                    "preset": preset,
                    "model": card.name,
                    "evaluations": found.evaluations,
                    "seconds": found.seconds,
                    "megapixels_per_second": found.megapixels_per_second,
                    "gflop_per_megapixel": found.flops_per_pixel / 1e3,
                    "gflop_per_second": found.flops_per_second / 1e9,
                    "peak_gflop_per_second": peak / 1e9,
                    "share_of_peak": found.flops_per_second / peak,
                }
            )
            tick(done, len(priors))
    if json:
        about = {"side": side, "codec": codec, "quality": quality, "compiled": compiled}
        kind = {"dtype": str(runtime.dtype).removeprefix("torch."), "tile": tile}
        machine = describe_machine(runtime.device)
        answer_json({**about, **kind, "presets": rows, "skipped": skipped, "machine": machine})
    else:
        _print(rows, skipped)


def _print(rows: Sequence[Mapping[str, Any]], skipped: Mapping[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("preset", "model"):
        table.add_column(heading)
    headings = ("evaluations", "seconds", "Mpx/s", "GFLOP/Mpx", "GFLOP/s", "peak GFLOP/s")
    for heading in (*headings, "share of peak"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["preset"],
            row["model"],
            f"{row['evaluations']}",
            f"{row['seconds']:.3f}",
            f"{row['megapixels_per_second']:.3g}",
            f"{row['gflop_per_megapixel']:.0f}",
            f"{row['gflop_per_second']:.0f}",
            f"{row['peak_gflop_per_second']:.0f}",
            f"{100 * row['share_of_peak']:.0f} %",
        )
    answer().print(table)
    for name, reason in skipped.items():
        answer().print(Text(f"skipped {name}: {one_line(reason)}"), soft_wrap=True)
