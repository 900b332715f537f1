"""Other people's names of the structures of the leg: the look-up lives with the anatomy."""

from legseg_bids.anatomy.synonyms import Meaning, meaning_of, near_misses

__all__ = ["Meaning", "meaning_of", "near_misses"]
