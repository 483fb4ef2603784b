"""Jukebox (Dhariwal et al. 2020, arXiv:2005.00341): a multi-scale VQ-VAE and autoregressive priors, written anew from the paper.

* `configs.py`       the published models as plain data
* `vqvae.py`         audio to codes and back, at three rates
* `attention.py`     factored attention, over a sequence and one step at a time
* `transformer.py`   the stack of it
* `conditioners.py`  labels, timing, lyrics, the level above
* `prior.py`         a level's distribution, and its one-token step
* `labels.py`        artist, genres, timing and lyrics as numbers
* `sampling.py`      windows, many tracks at once
* `model.py`         the whole: encode, decode, sample, continue, upsample
* `training.py`      of every part
* `checkpoints.py`   the published weights under our names; `weights.py` reads, converts and loads them, `downloads.py` fetches them
* `engine.py`        Jukebox as an engine of gridtone; `moods.py` turns a prompt's text into labels

Nothing of OpenAI's is here: neither code nor weights. Their weights, and whatever is made with them, may not be used commercially.
"""

from gridtone_engine.jukebox.engine import Jukebox

__all__ = ["Jukebox"]
