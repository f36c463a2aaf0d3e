"""Measurements of this project beside its peers. See bench/README.md; `python -m bench --help` lists them."""
