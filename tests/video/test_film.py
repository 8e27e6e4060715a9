"""Films in and out: what was there stays, and the luma is the same to the bit."""

from __future__ import annotations

import os
from fractions import Fraction

import av
import numpy as np
import pytest

from photochrom.errors import ConfigError, FilmError
from photochrom.look import Look
from photochrom.video.encode import CODECS, Encoder, Quality
from photochrom.video.film import Settings, color_film, frames
from photochrom.video.source import Film
from photochrom.video.stretch import Pace

TICK = Fraction(1, 1000)


def film(path, pictures, *, format="gray", codec="ffv1", step=(40, 47, 41), **options):
    """Write a film of pictures (H, W), uint8 or uint16, with times that differ."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=24)
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt = format
        stream.codec_context.time_base = stream.time_base = TICK
        for name, value in options.pop("context", {}).items():
            setattr(stream.codec_context, name, value)
        if "rotation" in options:
            stream.set_display_rotation(options.pop("rotation"))
        if options.pop("sound", False):
            sound = out.add_stream("pcm_s16le", rate=8000)
            sound.layout = "mono"
            sound.metadata["language"] = "fra"
        out.metadata.update(options.pop("metadata", {}))
        out.set_chapters(options.pop("chapters", []))
        time = 0
        for i, picture in enumerate(pictures):
            kind = "gray" if picture.dtype == np.uint8 else "gray16le"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), kind)
            if format != kind:
                frame = plane_by_plane(picture, format)
            frame.pts, frame.time_base = time, TICK
            time += step[i % len(step)]
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if len(out.streams) > 1:
            wave = (8000 * np.sin(np.arange(8000) / 9)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
            frame.sample_rate, frame.pts = 8000, 0
            out.mux(sound.encode(frame))
            out.mux(sound.encode())
    return path


def plane_by_plane(picture, format):
    frame = av.VideoFrame(picture.shape[1], picture.shape[0], format)
    for number, plane in enumerate(frame.planes):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        wide = rows.view(picture.dtype)
        if number == 0:
            wide[: picture.shape[0], : picture.shape[1]] = picture
        else:
            wide[:] = 128 if picture.dtype == np.uint8 else 512
    return frame


def pictures(draw_scene, count=6, height=48, width=64, seed=1, bits=8):
    scene = draw_scene(seed, 120, 200) / 100
    top = 235 << (bits - 8)
    kind = np.uint8 if bits == 8 else np.uint16
    return [
        (16 + scene[8 : 8 + height, 2 * i : 2 * i + width] * (top - 16)).astype(kind)
        for i in range(count)
    ]


def lumas(path):
    return [picture.luma for picture in Film(path).pictures()]


@pytest.mark.slow
@pytest.mark.parametrize("bits, format", [(8, "yuv420p"), (10, "yuv420p10le"), (8, "yuv422p")])
def test_luma_is_the_same_to_the_bit(tmp_path, colorizer, draw_scene, bits, format):
    before = pictures(draw_scene, bits=bits)
    source = film(tmp_path / "old.mkv", before, format=format)
    color_film(source, tmp_path / "new.mkv", colorizer, Settings(Quality("ffv1")))
    after = lumas(tmp_path / "new.mkv")
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        assert old.dtype == new.dtype
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("codec", ["h264", "h265", "prores"])
def test_luma_goes_into_every_encoder_untouched(tmp_path, draw_scene, codec):
    before = pictures(draw_scene, 1, 49, 63)
    found = Film(film(tmp_path / "old.mkv", before, format="yuv420p"))
    (picture,) = found.pictures()
    encoder = Encoder(found.facts, Quality(codec))
    frame = encoder.frame(picture, np.full((8, 8, 2), 20, np.float32))
    plane = frame.planes[0]
    kind = np.uint8 if encoder.shape.scale.bits == 8 else np.uint16
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size).view(kind)
    more = encoder.shape.scale.bits - 8
    np.testing.assert_array_equal(rows[:49, :63] >> more, before[0])
    assert (frame.width, frame.height) == (64, 50)


@pytest.mark.slow
@pytest.mark.parametrize("codec, suffix", [("h264", ".mp4"), ("h265", ".mp4"), ("av1", ".mkv"),
                                           ("prores", ".mov"), ("ffv1", ".mkv")])  # fmt: skip
def test_every_codec_writes_the_times_of_the_source(tmp_path, colorizer, draw_scene, codec, suffix):
    source = film(tmp_path / "old.mkv", pictures(draw_scene, 9, 64, 64), format="yuv420p")
    target = tmp_path / f"new{suffix}"
    color_film(source, target, colorizer, Settings(Quality(codec)))
    expected = [p.pts * TICK for p in Film(source).pictures()]
    found = Film(target)
    assert [p.pts * found.facts.time_base for p in found.pictures()] == expected
    with av.open(str(target)) as result:
        frame = next(result.decode(video=0))
        assert (frame.color_range, frame.colorspace, frame.color_primaries) == (1, 6, 1)
        assert result.streams.video[0].codec_context.codec.canonical_name in (
            codec, "hevc"
        )  # fmt: skip
        chroma = frame.reformat(format="yuv444p").to_ndarray()[1:]
        assert np.abs(chroma.astype(int) - 128).max() > 8


def test_what_a_film_brings_along_is_kept(tmp_path, colorizer, draw_scene):
    chapters = [
        {"id": 1, "start": 0, "end": 90, "time_base": TICK, "metadata": {"title": "One"}},
        {"id": 2, "start": 90, "end": 240, "time_base": TICK, "metadata": {"title": "Two"}},
    ]
    source = film(
        tmp_path / "old.mkv", pictures(draw_scene), format="yuv420p", sound=True,
        metadata={"title": "Arrival", "comment": "reel 3"}, chapters=chapters,
    )  # fmt: skip
    target = tmp_path / "new.mkv"
    color_film(source, target, colorizer)
    with av.open(str(source)) as old, av.open(str(target)) as new:
        assert new.metadata["title"] == "Arrival"
        said = {k.lower(): v for k, v in new.metadata.items()}["comment"]
        assert said.startswith("reel 3\n") and "synthetic" in said and "photochrom-1" in said
        assert [c["metadata"]["title"] for c in new.chapters()] == ["One", "Two"]
        assert [(c["start"], c["end"]) for c in new.chapters()] == [
            (c["start"], c["end"]) for c in old.chapters()
        ]
        assert new.streams.audio[0].language == "fra"
        sounds = [
            [(p.pts, bytes(p)) for p in container.demux(audio=0) if p.size]
            for container in (old, new)
        ]
        assert sounds[0] == sounds[1] and sounds[0]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_shape_and_turn_are_kept(tmp_path, colorizer, draw_scene, suffix):
    source = film(
        tmp_path / "old.mp4", pictures(draw_scene, 3), format="yuv420p", codec="libx264",
        context={"sample_aspect_ratio": Fraction(16, 15)}, rotation=90,
    )  # fmt: skip
    old = Film(source).facts
    assert old.display is not None and old.turns
    target = tmp_path / f"new{suffix}"
    color_film(source, target, colorizer)
    new = Film(target).facts
    assert new.aspect == old.aspect == Fraction(16, 15)
    assert new.turns == old.turns
    if suffix == ".mp4":
        assert new.display == old.display


@pytest.mark.parametrize("stated, full", [(1, False), (2, True)])
def test_range_and_matrix_are_stated(tmp_path, colorizer, draw_scene, stated, full):
    source = film(
        tmp_path / "old.mkv", pictures(draw_scene, 2), format="yuv420p",
        context={"color_range": stated, "colorspace": 1},
    )  # fmt: skip
    color_film(source, tmp_path / "new.mp4", colorizer)
    facts = Film(tmp_path / "new.mp4").facts
    assert facts.matrix == 1
    assert facts.scale.full is full


def test_odd_sizes_are_kept_or_told(tmp_path, colorizer, draw_scene):
    source = film(tmp_path / "old.mkv", pictures(draw_scene, 2, 45, 61))
    report = color_film(source, tmp_path / "new.mkv", colorizer, Settings(Quality("ffv1")))
    assert report.notes == []
    assert Film(tmp_path / "new.mkv").facts.shape == (45, 61)
    report = color_film(source, tmp_path / "new.mp4", colorizer)
    assert "61 x 45 is odd" in report.notes[0]
    assert Film(tmp_path / "new.mp4").facts.shape == (46, 62)


@pytest.mark.slow
def test_a_film_goes_on_where_it_was_stopped(tmp_path, colorizer, draw_scene):
    clip = [p for seed in (1, 2, 3) for p in pictures(draw_scene, 6, seed=seed)]
    source = film(tmp_path / "old.mkv", clip, format="yuv420p")
    color_film(source, tmp_path / "whole.mkv", colorizer, Settings(Quality("ffv1")))

    def stop(done, total):
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        color_film(
            source, tmp_path / "new.mkv", colorizer, Settings(Quality("ffv1")), progress=stop
        )
    assert sorted(os.listdir(tmp_path)) == [".new.mkv.photochrom", "old.mkv", "whole.mkv"]
    begun = []
    report = color_film(
        source, tmp_path / "new.mkv", colorizer, Settings(Quality("ffv1")),
        progress=lambda done, total: begun.append(done),
    )  # fmt: skip
    assert begun[0] == 6  # the first shot was whole
    assert (report.pictures, report.shots) == (18, 3)
    assert sorted(os.listdir(tmp_path)) == ["new.mkv", "old.mkv", "whole.mkv"]
    with av.open(str(tmp_path / "new.mkv")) as new, av.open(str(tmp_path / "whole.mkv")) as whole:
        for one, other in zip(new.decode(video=0), whole.decode(video=0), strict=True):
            assert one.pts == other.pts
            np.testing.assert_array_equal(one.to_ndarray(), other.to_ndarray())


@pytest.mark.slow
def test_other_settings_start_over(tmp_path, colorizer, draw_scene):
    clip = [p for seed in (1, 2) for p in pictures(draw_scene, 6, seed=seed)]
    source = film(tmp_path / "old.mkv", clip)

    def stop(done, total):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        color_film(source, tmp_path / "new.mkv", colorizer, progress=stop)
    begun = []
    other = Settings(look=Look(saturation=0.5))
    color_film(
        source, tmp_path / "new.mkv", colorizer, other, progress=lambda d, t: begun.append(d)
    )
    assert begun[0] == 0


@pytest.mark.slow
def test_a_long_shot_goes_on_over_its_stretches(tmp_path, colorizer, draw_scene):
    settings = Settings(pace=Pace(longest=5))
    source = film(tmp_path / "old.mkv", pictures(draw_scene, 14))
    report = color_film(source, tmp_path / "new.mkv", colorizer, settings)
    assert (report.pictures, report.shots) == (14, 1)
    shots = [f.shot for f in frames(source, colorizer, settings)]
    assert shots == [0] * 14


@pytest.mark.slow
def test_frames_are_what_the_file_shows(tmp_path, colorizer, draw_scene):
    source = film(tmp_path / "old.mkv", pictures(draw_scene, 5), format="yuv420p")
    settings = Settings(Quality("ffv1"), Pace(every=1))
    color_film(source, tmp_path / "new.mkv", colorizer, settings)
    got = list(frames(source, colorizer, settings))
    assert [f.time for f in got] == [p.pts / 1000 for p in Film(source).pictures()]
    with av.open(str(tmp_path / "new.mkv")) as new:
        for frame, shown in zip(new.decode(video=0), got, strict=True):
            rgb = frame.reformat(
                format="rgb24", src_colorspace="ITU601", interpolation="BICUBIC"
            ).to_ndarray()
            assert shown.rgb.shape == (48, 64, 3)
            assert np.abs(rgb.astype(int) - shown.rgb).max() <= 1


@pytest.mark.slow
def test_a_damaged_place_is_bridged_and_counted(tmp_path, colorizer, draw_scene):
    clip = pictures(draw_scene, 30, 96, 128)
    source = film(tmp_path / "old.mkv", clip, format="yuv420p", codec="libx264")
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(range(200, 250)) * 6
    source.write_bytes(data)
    report = color_film(source, tmp_path / "new.mkv", colorizer)
    assert report.damaged >= 1
    assert 20 <= report.pictures <= 30


def test_errors_name_the_file_and_the_remedy(tmp_path, colorizer, draw_scene):
    source = film(tmp_path / "old.mkv", pictures(draw_scene, 2))
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    cases = [
        (tmp_path / "none.mp4", "new.mp4", "none.mp4: no such file"),
        (text, "new.mp4", "text.mp4: cannot be read as a film"),
        (source, "new.avi", "new.avi: this kind of film cannot be written"),
        (source, "new.webm", "cannot hold h264; use .mp4"),
        (source, "old.mkv", "would be replaced by its own result"),
        (source, "text.mp4", "text.mp4: already exists; use --force"),
    ]
    for old, new, said in cases:
        with pytest.raises(FilmError, match=said):
            color_film(old, tmp_path / new, colorizer)
    assert sorted(os.listdir(tmp_path)) == ["old.mkv", "text.mp4"]
    with pytest.raises(ConfigError, match="no meaning for ffv1"):
        Quality("ffv1", 20)
    with pytest.raises(ConfigError, match="must be one of h264"):
        Quality("vp8")
    assert set(CODECS) == {"h264", "h265", "av1", "prores", "ffv1"}


def test_sound_that_does_not_fit_is_told_before_the_work(tmp_path, colorizer, draw_scene):
    source = film(tmp_path / "old.mkv", pictures(draw_scene, 2), sound=True)
    with pytest.raises(FilmError, match=r"pcm_s16le.*does not fit into .webm; .*\.mkv"):
        color_film(source, tmp_path / "new.webm", colorizer, Settings(Quality("av1")))
