"""Text: read line by line, turned into ids by a vocabulary, kept compactly, batched by column or length."""

from preceptor.data.text._batches import IGNORED, ContinuousBatches, LengthBatches, pad
from preceptor.data.text._corpus import TextIds, encode_file, read_lines, read_pieces
from preceptor.data.text._pairs import ParallelText, read_pairs
from preceptor.data.text._parts import Place, TextParts, fit_coder, place_parts, read_parts
from preceptor.data.text._pieces import BytePairs
from preceptor.data.text._ragged import Ragged
from preceptor.data.text._vocabulary import SPECIALS, TextCoder, Tokenizer, Vocabulary, coder_from_json
from preceptor.data.text._whole import WholeText

__all__ = [
    "IGNORED",
    "SPECIALS",
    "BytePairs",
    "ContinuousBatches",
    "LengthBatches",
    "ParallelText",
    "Place",
    "Ragged",
    "TextCoder",
    "TextIds",
    "TextParts",
    "Tokenizer",
    "Vocabulary",
    "WholeText",
    "coder_from_json",
    "encode_file",
    "fit_coder",
    "pad",
    "place_parts",
    "read_lines",
    "read_pairs",
    "read_parts",
    "read_pieces",
]
