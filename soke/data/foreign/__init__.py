"""Readers of other tools' files, of which `prepare.import_faces` makes SMPL-FX clips."""
