"""Meshes to pictures and video, without a display. Plain arrays in (metres, y up, facing +z), PNG and mp4 out."""
