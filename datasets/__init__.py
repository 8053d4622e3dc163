"""Recipes that write small HDF5 files to try latentflow on; in the repository, not in the installed package.

Run one from the repository root, for instance ``python -m datasets.demo demo.h5``.
"""
