"""What a study needs: one table over all participants, from the derivatives alone."""
