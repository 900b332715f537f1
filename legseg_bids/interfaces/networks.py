"""What the steps that run a network have in common: which model, on what, with how much."""

from __future__ import annotations

from pathlib import Path

from nipype.interfaces.base import BaseInterfaceInputSpec, Directory, traits

from legseg_bids.segment.engines import Engine, load_engine
from legseg_bids.segment.models import Model, load_model


class NetworkInputSpec(BaseInterfaceInputSpec):
    """Inputs of an interface that runs a network.

    Whatever cannot change a label (threads, memory) is not part of the hash by which a
    finished step is recognised.
    """

    models_dir = Directory(exists=True, mandatory=True, desc="folder of the model bundles")
    config_hash = traits.Str(mandatory=True, desc="changes with version and weights")
    engine = traits.Enum("openvino", "torch", usedefault=True, desc="what runs the network")
    device = traits.Str("cpu", usedefault=True, desc="cpu, cuda or cuda:N")
    use_gpu = traits.Bool(False, usedefault=True, nohash=True, desc="takes a GPU slot")
    num_threads = traits.Int(1, usedefault=True, nohash=True, desc="threads on a CPU")


def open_network(inputs: NetworkInputSpec, name: str) -> tuple[Model, Engine]:
    """Load a model and make it ready to run as the inputs of an interface say.

    Raises
    ------
    ModelError
        If a file is missing or damaged.
    """
    # The engine verifies the weights that it reads; the others need no reading here.
    model = load_model(Path(inputs.models_dir), name, verify=False)
    return model, load_engine(model, inputs.engine, inputs.device, inputs.num_threads)
