"""What else is in a film file: subtitles, attachments, interlaced pictures, covers."""

from __future__ import annotations

import av
import numpy as np
import pytest

from photochrom.errors import FilmError
from photochrom.video.encode import Quality
from photochrom.video.film import Settings, color_film
from photochrom.video.source import Film

SUBTITLES = "1\n00:00:00,000 --> 00:00:00,120\nArrival of a train\n\n"


@pytest.fixture
def old(tmp_path, draw_scene):
    """A film with subtitles and an attached file."""
    (tmp_path / "old.srt").write_text(SUBTITLES)
    scene = (draw_scene(1, 120, 200) * 2.5).astype(np.uint8)
    with (
        av.open(str(tmp_path / "old.srt")) as texts,
        av.open(str(tmp_path / "old.mkv"), "w") as out,
    ):
        stream = out.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "gray"
        text = out.add_stream_from_template(texts.streams[0])
        text.metadata["language"] = "deu"
        out.add_attachment("notes.txt", "text/plain", b"nitrate, shrunken")
        for i in range(4):
            part = np.ascontiguousarray(scene[20:84, i : 80 + i])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(part, "gray")))
        out.mux(stream.encode())
        for packet in texts.demux():
            if packet.size:
                packet.stream = text
                out.mux(packet)
    return tmp_path / "old.mkv"


def test_subtitles_and_attachments_are_kept(tmp_path, old, colorizer):
    color_film(old, tmp_path / "new.mkv", colorizer)
    with av.open(str(tmp_path / "new.mkv")) as new:
        (text,) = new.streams.subtitles
        assert text.language == "deu"
        packets = [(p.pts, bytes(p)) for p in new.demux(text) if p.size]
        assert packets == [(0, b"Arrival of a train")]
        attached = [s for s in new.streams if s.type == "attachment"]
        assert [bytes(s.data) for s in attached] == [b"nitrate, shrunken"]


def test_subtitles_that_do_not_fit_are_told_before_the_work(tmp_path, old, colorizer):
    with pytest.raises(FilmError, match=r"\(subtitle, .*\) does not fit into .mp4; .*\.mkv"):
        color_film(old, tmp_path / "new.mp4", colorizer)
    assert not (tmp_path / ".new.mp4.photochrom").exists()


@pytest.mark.slow
def test_interlaced_film_is_told_and_made_whole_on_request(tmp_path, draw_scene, colorizer):
    source = tmp_path / "old.mkv"
    scene = (draw_scene(1, 120, 200) * 2).astype(np.uint8)
    with av.open(str(source), "w") as out:
        stream = out.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        stream.codec_context.flags |= (1 << 18) | (1 << 29)  # interlaced DCT and motion
        for i in range(6):
            picture = scene[20:84, 4 * i : 80 + 4 * i].copy()
            picture[1::2] = scene[21:84:2, 4 * i + 2 : 82 + 4 * i]  # half a picture later
            frame = av.VideoFrame.from_ndarray(picture, "gray").reformat(format="yuv420p")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    plain = Film(source)
    assert plain.facts.interlaced
    report = color_film(source, tmp_path / "new.mkv", colorizer, Settings(Quality("ffv1")))
    assert "--deinterlace" in report.notes[0]
    settings = Settings(Quality("ffv1"), deinterlace=True)
    report = color_film(source, tmp_path / "whole.mkv", colorizer, settings)
    assert report.notes == []
    whole = Film(tmp_path / "whole.mkv")
    combs = []
    for film in (plain, whole):
        pictures = list(film.pictures())
        assert [p.pts for p in pictures] == [p.pts for p in plain.pictures()]
        rows = pictures[3].luma.astype(float)
        combs.append(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())
    assert combs[1] < 0.6 * combs[0]
