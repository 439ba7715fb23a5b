"""Limits on the image files of a user."""

MAX_PIXELS = 200_000_000
"""Of an image, before any is decoded: 600 MB as RGB. Pillow refuses more than 178,956,970 and warns
from 89,478,485 on; panoramas and scans have more."""
