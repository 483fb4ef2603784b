"""undertone: a small model of gridtone's own, of Jukebox's family: a codec, a prior over its codes, what is asked for as its condition.

Reading order:

* `configs.py`      sizes and schedules as plain data, three recipes
* `corpus.py`       the music that it learns from, made by the composer from seeds, in the timbres of `timbres.py`, under the captions of `captions.py`
* `codec.py`        32 kHz stereo to 25 frames a second of 56 codes and back to levels of a spectrum, with `quantiser.py`
* `synthesis.py`    from levels to sound; `torch_synthesis.py`, many tracks at once
* `conditions.py`   a prompt as numbers
* `prior.py`        a transformer over the codes, and its one-step form
* `generate.py`     sampling, the same for every way of running the model: `torch_model.py`, `onnx_model.py`
* `train.py`        the trainer, with `data.py`, `losses.py` and `checkpoints.py`; `adversary.py` fine-tunes the codec; `export.py` writes the weights;
                    `evaluate/` judges them; `cli.py` is `gridtone train`
* `engine.py`       undertone as an engine of gridtone

It has Jukebox's parts (discrete codes, an autoregressive prior, conditions), not its three levels of upsampling: one level of residual codes is decoded.
"""

from gridtone_engine.undertone.engine import Undertone

__all__ = ["Undertone"]
