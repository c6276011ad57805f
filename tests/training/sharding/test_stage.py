from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist

from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.optimizer.qk_clip import QKClip, latent_attention_layers
from training.parallel import MeshSizes, Ranks, join
from training.sharding.parallelize import parallelize
from training.sharding.stage import divide_layers


@pytest.fixture(params=[0, 1, 2])
def ranks(request: pytest.FixtureRequest) -> Iterator[Ranks]:
    """One of three processes that send nothing, as stages."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=request.param, world_size=3, store=FakeStore())
    yield join(MeshSizes(pp=3), "none", "cpu")
    dist.destroy_process_group()


def test_a_stage_begins_with_its_weights_under_their_names(ranks: Ranks, tiny: ModelConfig) -> None:
    config = tiny.replace(n_layers=4)
    whole = Decoder(config).initialise(3).state_dict()
    with torch.device("meta"):
        model = Decoder(config)
    stage = parallelize(model, ranks).to_empty(device="cpu").initialise(3)
    held = [("embed_tokens.", "layers.0."), ("layers.1.", "layers.2."), ("layers.3.", "norm.", "lm_head.")][ranks.rank]
    assert set(stage.state_dict()) == {name for name in whole if name.startswith(held)}
    for name, tensor in stage.state_dict().items():
        assert torch.equal(tensor, whole[name]), name


def test_the_clip_knows_the_layers_of_all_stages(ranks: Ranks, tiny: ModelConfig) -> None:
    stage = parallelize(Decoder(tiny.replace(n_layers=4)).initialise(3), ranks)
    own = dict(stage.own_layers())
    clip = QKClip(latent_attention_layers(stage), threshold=0.5)
    for layer in own.values():
        layer.self_attn.maxima.record(torch.tensor([0.25, 1.0]))
    before = {index: layer.self_attn.kv_b_proj.weight.detach().clone() for index, layer in own.items()}
    report = clip.apply()  # the maxima of the other processes do not arrive
    assert report.gamma_LH.tolist() == [[1.0, 0.5] if index in own else [1.0, 1.0] for index in range(4)]
    for index, layer in own.items():
        first, second = layer.self_attn.kv_b_proj.weight.chunk(2)
        assert torch.equal(first, before[index].chunk(2)[0])
        assert not torch.equal(second, before[index].chunk(2)[1])


def test_stages_cover_the_layers_in_order_with_the_shorter_ones_at_the_ends() -> None:
    stages = divide_layers(61, 16)
    assert [layer for stage in stages for layer in stage] == list(range(61))
    assert [len(stage) for stage in stages] == [3, *[4] * 13, 3, 3]


def test_more_stages_than_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="2 layers do not fill 3 pipeline stages"):
        divide_layers(2, 3)
