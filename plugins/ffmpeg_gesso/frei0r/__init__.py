"""The in-graph route: one ffmpeg, whose frei0r filter hands every frame to this process."""
