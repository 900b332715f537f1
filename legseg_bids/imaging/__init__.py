"""Volumes and what is done to them: axes, scale, mask, limbs, Dixon physics."""
