"""Data: read from wherever they are, split once, scaled by the training part only, batched in memory."""

from preceptor.data._dataset import Column, Dataset, Table
from preceptor.data._load import load
from preceptor.data._new_data import read_inputs
from preceptor.data._pixels import Pixels
from preceptor.data._prepare import Part, Prepared, prepare
from preceptor.data._preprocess import Preprocessor
from preceptor.data._split import Split, split

__all__ = [
    "Column",
    "Dataset",
    "Part",
    "Pixels",
    "Prepared",
    "Preprocessor",
    "Split",
    "Table",
    "load",
    "prepare",
    "read_inputs",
    "split",
]
