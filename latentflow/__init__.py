"""latentflow: from a table of observations to bijective Gaussian latents, and how independent they are."""

__version__ = "0.1.0"
