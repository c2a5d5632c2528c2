"""Operations of an image, against those that torch counts while one is made."""

import pytest
from tiny import tiny_vae_config, tiny_var_config, write_trainer_file
from torch.utils.flop_counter import FlopCounterMode

from var import VARPipeline
from var.model.config import VARConfig, VQVAEConfig
from var.model.operations import count_operations


@pytest.mark.parametrize(
    ("var_config", "vae_config", "cfg_scale"),
    [
        (tiny_var_config(), tiny_vae_config(), 4.0),
        (tiny_var_config(), tiny_vae_config(), 0.0),
        (tiny_var_config(depth=3, embed_dim=128, mlp_ratio=3.0, shared_adaln=True), tiny_vae_config(), 4.0),
        (tiny_var_config(patch_nums=(1, 2, 3, 8)), tiny_vae_config(ch_mult=(1, 2, 2, 4), num_res_blocks=1), 4.0),
    ],
)
def test_they_are_those_that_torch_counts(tmp_path, var_config, vae_config, cfg_scale):
    path = write_trainer_file(tmp_path / "a.pth", optimizer=False, var_config=var_config, vae_config=vae_config)
    pipe = VARPipeline.from_checkpoint(path, device="cpu")
    with FlopCounterMode(display=False) as counter:
        pipe([1], seed=[0], cfg_scale=cfg_scale, cfg_curve="constant")
    counted = count_operations(var_config, vae_config, guided=cfg_scale > 0)
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_an_official_image_of_256_pixels_takes_about_a_trillion():
    assert 0.9e12 < count_operations(VARConfig(), VQVAEConfig()) < 1.1e12
