"""Text: read line by line, turned into ids by a vocabulary, kept compactly, batched by column or length."""

from preceptor.data.text._batches import ContinuousBatches, LengthBatches, pad
from preceptor.data.text._corpus import TextIds, encode_file, read_lines
from preceptor.data.text._pairs import ParallelText, read_pairs
from preceptor.data.text._pieces import BytePairs
from preceptor.data.text._ragged import Ragged
from preceptor.data.text._vocabulary import SPECIALS, TextCoder, Tokenizer, Vocabulary, coder_from_json

__all__ = [
    "SPECIALS",
    "BytePairs",
    "ContinuousBatches",
    "LengthBatches",
    "ParallelText",
    "Ragged",
    "TextCoder",
    "TextIds",
    "Tokenizer",
    "Vocabulary",
    "coder_from_json",
    "encode_file",
    "pad",
    "read_lines",
    "read_pairs",
]
