"""What can be computed from a text alone: tokens for BM25, its language, its scripts, an estimate of a model's tokens.

It may import nothing of neuromem but itself.
Begin with `tokenizer.tokenize`, then `indexed_text`, which says what of a message or memory is indexed.
"""
