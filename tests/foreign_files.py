"""Small files as other projects write them: their own names of weights and wrappers, with tiny shapes.

A listing has one weight a line, its name and its shape; `#` stands for the blocks 0 and 1.
"""

from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from warnings import catch_warnings

import torch
from safetensors.torch import save_file
from tiny import tiny_states, tiny_var_config
from torch import Tensor, nn

from var.model.transformer import VAR

D = 64  # width of the tiny VAR
NUM_BLOCKS = 2


def weights(listing: str) -> dict[str, Tensor]:
    """Tensors of zeros with the names and shapes of a listing."""
    state = {}
    for line in listing.split("\n"):
        for block in range(NUM_BLOCKS) if "#" in line else (0,):
            key, *shape = line.replace("#", str(block)).split() or [""]
            if key:
                state[key] = torch.zeros([int(size) for size in shape])
    return state


def changed_var(added: str, *, without: tuple[str, ...] = (), renamed: Mapping[str, str] | None = None) -> dict:
    """The tiny VAR without some of its parts, with others renamed, and with the weights of a listing."""
    state = {key: value for key, value in tiny_states()[0].items() if not key.startswith(without)}
    for old, new in (renamed or {}).items():
        state = {key.replace(old, new): value for key, value in state.items()}
    return state | weights(added)


def in_trainer(state: dict, name: str = "var_wo_ddp") -> dict:
    """Wrapped as VAR's trainer and its forks do."""
    trainer = {"config": {"patch_nums": (1, 2, 3, 4)}, name: state, "vae_local": tiny_states()[1]}
    trainer["var_opt"] = {"optimizer": optimizer_state()}
    return {"epoch": 1, "iter": 0, "trainer": trainer, "args": OrderedDict(depth=2)}


def in_lightning(state: dict) -> dict:
    """Wrapped as PyTorch Lightning does."""
    loops = {"fit_loop": {"state_dict": {}}}
    return {"epoch": 1, "global_step": 9, "pytorch-lightning_version": "1.9.0", "state_dict": state, "loops": loops}


def optimizer_state() -> dict:
    """What AdamW saves after a step."""
    model = nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, 4)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


# Relatives of VAR, after the model code of each project.


def flexvar() -> dict:
    """FlexVAR, models/flexvar.py: no level embedding, positions as a grid (1, D, h, w)."""
    return changed_var(f"pos_1LC 1 {D} 4 4", without=("lvl_embed", "lvl_1L"))


def var_clip() -> dict:
    """VAR-CLIP, models/var.py: the embedding of a text instead of a class."""
    return in_trainer(
        changed_var(f"noise.weight 1 16\ncond_proj.weight {D} 16\ncond_proj.bias {D}", without=("class_emb",))
    )


def hmar() -> dict:
    """HMAR, models/hmar.py: three lists of blocks, two heads."""
    return changed_var(
        f"""
        ns_blocks.0.attn.mat_qkv.weight {3 * D} {D}
        mask_blocks.0.attn.mat_qkv.weight {3 * D} {D}
        ns_head.weight 64 {D}
        ns_head_nm.ada_lin.1.weight {2 * D} {D}
        mask_head.weight 64 {D}
        mask_head_nm.ada_lin.1.weight {2 * D} {D}
        word_embed_bias {D}
        mask_embed.weight 1 {D}
        """,
        without=("head", "word_embed.bias"),
        renamed={"blocks.": "base_blocks."},
    )


def hmar_finetuned() -> dict:
    """HMAR, models/mp.py and mp_trainer.py: a VAR with one more embedding for masked tokens."""
    state = changed_var(f"word_embed_bias {D}\nmask_embed.weight 1 {D}", without=("word_embed.bias",))
    return in_trainer(state, "transformer_wo_ddp")


def switti() -> dict:
    """Switti, models/switti.py: two text encoders, other names in attention."""
    return changed_var(
        f"""
        text_pooler.weight {D} 128
        text_pooler.bias {D}
        crop_proj.weight {D} {D}
        blocks.#.attn.to_qkv.weight {3 * D} {D}
        blocks.#.attn.to_qkv.bias {3 * D}
        blocks.#.attn.proj.weight {D} {D}
        blocks.#.cross_attn.to_q.weight {D} {D}
        blocks.#.cross_attn.to_kv.weight {2 * D} 208
        blocks.#.self_attention_norm1.weight {D}
        blocks.#.attention_y_norm.weight 208
        blocks.#.ffn.up_proj.weight {4 * D} {D}
        blocks.#.ada_lin.1.weight {6 * D} {D}
        """,
        without=("class_emb", "pos_1LC", "blocks."),
    )


def star() -> dict:
    """STAR, models/var_drop.py: projected text, rotary positions, no AdaLN in its blocks, another name of the head."""
    state = changed_var(
        f"""
        encoder_proj.weight {D} 96
        head_logits.weight 64 {D}
        head_proj.weight {D} {2 * D}
        word_embed_head.weight {D} 8
        feat_extract_blocks.0.attn.mat_qkv.weight {3 * D} {D}
        blocks.#.cross_attn.mat_kv.weight {2 * D} {D}
        blocks.#.cross_attn.q_bias {D}
        """,
        without=("head", "pos_1LC"),
    )
    return in_trainer({key: value for key, value in state.items() if ".ada_lin." not in key})


def hart() -> dict:
    """HART, hart_transformer_t2i.py: text tokens, a diffusion head, Llama's attention."""
    return changed_var(
        f"""
        context_embed.weight {D} 96
        context_norm.weight 96
        decoder_norm.weight {D}
        blocks.#.attn.qkv_proj.weight {3 * D} {D}
        blocks.#.attn.proj.weight {D} {D}
        blocks.#.ffn.gate_proj.weight {4 * D} {D}
        diffloss.net.time_embed.mlp.0.weight {D} 256
        diffloss.net.cond_embed.weight {D} {D}
        diffloss.net.res_blocks.0.mlp.0.weight {D} {D}
        """,
        without=("class_emb", "pos_start", "pos_1LC", "blocks."),
    )


def infinity() -> dict:
    """Infinity, infinity/models/infinity.py: text by cross-attention, blocks in chunks, a head for bits."""
    return changed_var(
        f"""
        cfg_uncond 16 96
        text_norm.weight 96
        text_proj_for_sos.ca.mat_kv.weight {2 * D} 96
        text_proj_for_ca.0.weight {D} 96
        block_chunks.#.module.0.sa.mat_qkv.weight {3 * D} {D}
        block_chunks.#.module.0.ca.mat_kv.weight {2 * D} {D}
        block_chunks.#.module.0.ca_gamma {D}
        block_chunks.#.module.0.ada_gss 1 1 6 {D}
        head.weight 16 {D}
        """,
        without=("class_emb", "pos_1LC", "lvl_1L", "attn_bias", "blocks."),
    )


def infinity_trainer() -> dict:
    """The same as Infinity's trainer saves it."""
    return {"args": {}, "gpt_training": True, "epoch": 1, "iter": 0, "trainer": {"gpt_fsdp": infinity()}, "acc_str": ""}


def moe_var() -> dict:
    """MoVEAR, movear/models/moe.py: a router and experts in each block's feed-forward part."""
    state = {key: value for key, value in changed_var("").items() if ".ffn." not in key}
    experts = f"""
        blocks.#.ffn.router.router.weight 4 {D}
        blocks.#.ffn.local_experts.0.0.weight {4 * D} {D}
        blocks.#.ffn.local_experts.0.3.weight {D} {4 * D}
    """
    return in_trainer(state | weights(experts))


def m_var() -> dict:
    """M-VAR, models/basic_mvar.py: a Mamba layer after attention."""
    return in_trainer(
        changed_var(
            f"""
            blocks.#.attn.patch_nums 4
            blocks.#.mamba.in_proj.weight {4 * D} {D}
            blocks.#.mamba.A_log 4
            """
        )
    )


def control_var() -> dict:
    """ControlVAR, models/control_var.py: every scale twice, image and control map."""
    return changed_var(f"type_embed.weight 2 {D}\ntype_1L 1 60\ncond_embed.weight 5 {D}\nspecial_embed.weight 6 {D}")


def var_with_lora() -> dict:
    """A VAR that peft put adapters into."""
    layers = "base_model.model.blocks.#.attn.mat_qkv.lora_{}.default.weight {} {}\n"
    adapters = weights(layers.format("A", 4, D) + layers.format("B", 3 * D, 4))
    return {f"base_model.model.{key}": value for key, value in tiny_states()[0].items()} | adapters


# Autoencoders.

CONVOLUTIONS = """
    encoder.conv_in.weight 32 3 3 3
    encoder.down.0.block.0.conv1.weight 32 32 3 3
    encoder.mid.attn_1.q.weight 32 32 1 1
    encoder.conv_out.weight 8 32 3 3
    decoder.conv_in.weight 32 8 3 3
    decoder.up.0.block.0.conv1.weight 32 32 3 3
    decoder.conv_out.weight 3 32 3 3
"""


def vqgan() -> dict:
    """taming-transformers, taming/models/vqgan.py, with its loss and discriminator."""
    more = """
        quantize.embedding.weight 64 8
        quant_conv.weight 8 8 1 1
        post_quant_conv.weight 8 8 1 1
        loss.perceptual_loss.lin0.model.1.weight 1 64 1 1
        loss.discriminator.main.0.weight 64 3 4 4
    """
    return in_lightning(weights(CONVOLUTIONS + more))


def kl_autoencoder() -> dict:
    """The autoencoder of latent diffusion; MAR's `kl16.ckpt` has it under "model"."""
    return {"model": weights(CONVOLUTIONS + "quant_conv.weight 16 16 1 1\npost_quant_conv.weight 8 8 1 1")}


def llamagen_tokenizer() -> dict:
    """LlamaGen, tokenizer/tokenizer_image/vq_model.py, which FlexVAR uses, too."""
    listing = """
        encoder.conv_in.weight 32 3 3 3
        encoder.conv_blocks.0.res.0.conv1.weight 32 32 3 3
        encoder.mid.0.conv1.weight 32 32 3 3
        decoder.conv_in.weight 32 8 3 3
        decoder.conv_blocks.0.res.0.conv1.weight 32 32 3 3
        quantize.embedding.weight 64 8
        quantize.codebook_used 65536
        quant_conv.weight 8 8 1 1
        post_quant_conv.weight 8 8 1 1
    """
    return {"model": weights(listing)}


def diffusers_vae() -> dict:
    """AutoencoderKL of diffusers."""
    return weights(
        """
        encoder.conv_in.weight 32 3 3 3
        encoder.down_blocks.0.resnets.0.conv1.weight 32 32 3 3
        encoder.mid_block.attentions.0.to_q.weight 32 32
        decoder.conv_in.weight 32 4 3 3
        decoder.up_blocks.0.resnets.0.conv1.weight 32 32 3 3
        quant_conv.weight 8 8 1 1
        post_quant_conv.weight 4 4 1 1
        """
    )


def infinity_tokenizer() -> dict:
    """Infinity, infinity/models/bsq_vae/flux_vqgan.py."""
    return weights(
        """
        encoder.conv_in.conv.weight 32 3 3 3
        encoder.down.0.block.0.conv1.conv.weight 32 32 3 3
        decoder.conv_in.conv.weight 32 8 3 3
        quantizer.lfq.mask 8
        quantize.lfq.mask 8
        """
    )


def hart_tokenizer() -> dict:
    """HART, hart_autoencoder.py with two decoders."""
    return tiny_states()[1] | weights("decoder2.conv_in.weight 64 8 3 3\npost_quant_conv2.weight 8 8 3 3")


# Other generators.

UNET = """
    {0}time_embed.0.weight 128 32
    {0}input_blocks.0.0.weight 32 4 3 3
    {0}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight 32 96
    {0}middle_block.0.in_layers.2.weight 32 32 3 3
    {0}output_blocks.0.0.in_layers.2.weight 32 64 3 3
    {0}out.2.weight 4 32 3 3
"""


def stable_diffusion() -> dict:
    """A whole Stable Diffusion 1 checkpoint."""
    listing = UNET.format("model.diffusion_model.") + CONVOLUTIONS.replace("    ", "first_stage_model.")
    listing += "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight 96 96"
    return in_lightning(weights(listing))


def latent_diffusion_unet() -> dict:
    """The UNet alone, also of guided-diffusion."""
    return weights(UNET.format(""))


def diffusers_unet() -> dict:
    """UNet2DConditionModel of diffusers."""
    return weights(
        """
        conv_in.weight 32 4 3 3
        time_embedding.linear_1.weight 128 32
        down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight 32 96
        mid_block.resnets.0.conv1.weight 32 32 3 3
        up_blocks.0.resnets.0.conv1.weight 32 64 3 3
        conv_out.weight 4 32 3 3
        """
    )


def flux() -> dict:
    """FLUX, src/flux/model.py."""
    return weights(
        "double_blocks.#.img_attn.qkv.weight 96 32\nsingle_blocks.#.linear1.weight 96 32\nimg_in.weight 32 16"
    )


def dit() -> dict:
    """DiT, models.py and train.py; SiT has the same names."""
    state = weights(
        """
        pos_embed 1 16 32
        x_embedder.proj.weight 32 4 2 2
        t_embedder.mlp.0.weight 32 256
        y_embedder.embedding_table.weight 11 32
        blocks.#.attn.qkv.weight 96 32
        blocks.#.adaLN_modulation.1.weight 192 32
        final_layer.linear.weight 32 32
        """
    )
    return {"model": state, "ema": state, "opt": optimizer_state(), "args": Namespace(model="DiT-S/2")}


def mar() -> dict:
    """MAR, models/mar.py and util/misc.py."""
    state = weights(
        """
        mask_token 1 1 32
        fake_latent 1 32
        class_emb.weight 10 32
        encoder_pos_embed_learned 1 80 32
        decoder_pos_embed_learned 1 80 32
        z_proj.weight 32 16
        encoder_blocks.#.attn.qkv.weight 96 32
        decoder_blocks.#.attn.qkv.weight 96 32
        diffloss.net.cond_embed.weight 32 32
        """
    )
    return {"model": state, "model_ema": state, "optimizer": optimizer_state(), "epoch": 4, "args": Namespace(lr=1e-4)}


def llamagen() -> dict:
    """LlamaGen, autoregressive/models/gpt.py and train_c2i.py."""
    state = weights(
        """
        cls_embedding.embedding_table.weight 11 32
        tok_embeddings.weight 64 32
        layers.#.attention.wqkv.weight 96 32
        layers.#.feed_forward.w1.weight 64 32
        norm.weight 32
        output.weight 64 32
        """
    )
    return {"model": state, "optimizer": optimizer_state(), "steps": 7, "args": Namespace(gpt_model="GPT-B")}


def taming_transformer() -> dict:
    """taming-transformers, net2net with its own VQGAN inside."""
    listing = (
        "transformer.tok_emb.weight 64 32\ntransformer.pos_emb 1 16 32\ntransformer.blocks.#.attn.key.weight 32 32\n"
    )
    return in_lightning(weights(listing + CONVOLUTIONS.replace("    ", "first_stage_model.")))


# Models for other things.


def llama() -> dict:
    """A Llama of transformers."""
    return weights(
        """
        model.embed_tokens.weight 64 32
        model.layers.#.self_attn.q_proj.weight 32 32
        model.layers.#.mlp.gate_proj.weight 64 32
        model.norm.weight 32
        lm_head.weight 64 32
        """
    )


def llama_original() -> dict:
    """A Llama as its authors published it."""
    return weights(
        "tok_embeddings.weight 64 32\nlayers.#.attention.wq.weight 32 32\nnorm.weight 32\noutput.weight 64 32"
    )


def gpt2() -> dict:
    """GPT-2 of transformers."""
    return weights("wte.weight 64 32\nwpe.weight 16 32\nh.#.attn.c_attn.weight 32 96\nln_f.weight 32")


def clip_text() -> dict:
    """CLIP's text encoder of transformers."""
    return weights(
        "text_model.embeddings.token_embedding.weight 64 32\ntext_model.encoder.layers.#.self_attn.q_proj.weight 32 32"
    )


def vit() -> dict:
    """A ViT of timm."""
    listing = "cls_token 1 1 32\npos_embed 1 17 32\npatch_embed.proj.weight 32 3 4 4\nblocks.#.attn.qkv.weight 96 32\n"
    return weights(listing + "head.weight 10 32")


def resnet() -> dict:
    """A ResNet of torchvision."""
    return weights(
        """
        conv1.weight 8 3 7 7
        bn1.running_mean 8
        layer1.#.conv1.weight 8 8 1 1
        fc.weight 10 8
        """
    )


def lora() -> dict:
    """A LoRA for Stable Diffusion, as kohya's scripts write it."""
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    return weights(f"{layer}.lora_down.weight 4 32\n{layer}.lora_up.weight 32 4\n{layer}.alpha")


def lora_of_peft() -> dict:
    """A LoRA for a diffusers UNet, as peft writes it."""
    layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    return weights(f"{layer}.lora_A.weight 4 32\n{layer}.lora_B.weight 32 4")


def quantized_var() -> dict:
    """A VAR whose layers bitsandbytes made 4 bits wide."""
    return changed_var("blocks.#.attn.mat_qkv.weight.absmax 192\nblocks.#.attn.mat_qkv.weight.quant_map 16")


def dynamically_quantized_var() -> dict:
    """What PyTorch's own quantization makes of a VAR."""
    model = VAR(tiny_var_config())
    with catch_warnings(action="ignore"):
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8).state_dict()


def eight_bits(state: dict, scale: str) -> dict:
    """Layers in 8-bit floating point, each with a scale, as ComfyUI and compressed-tensors name it."""
    layers = [key.removesuffix(".weight") for key, value in state.items() if key.endswith("weight") and value.ndim > 1]
    small = {f"{layer}.weight": state[f"{layer}.weight"].to(torch.float8_e4m3fn) for layer in layers}
    return {**state, **small, **{f"{layer}.{scale}": torch.ones(1) for layer in layers}}


# What the sentence says, and the file's content; those of safetensors are flat.
PROJECTS: dict[str, tuple[str, Callable[[], object]]] = {
    "flexvar": ("FlexVAR", flexvar),
    "var_clip": ("VAR-CLIP", var_clip),
    "hmar": ("HMAR", hmar),
    "hmar_finetuned": ("HMAR", hmar_finetuned),
    "switti.safetensors": ("Switti", switti),
    "star": ("STAR", star),
    "hart.safetensors": ("HART", hart),
    "infinity": ("Infinity", infinity),
    "infinity_trainer": ("Infinity", infinity_trainer),
    "moe_var": ("mixture of experts", moe_var),
    "m_var": ("M-VAR", m_var),
    "control_var": ("ControlVAR", control_var),
    "var_with_lora": ("LoRA adapters that are not merged", var_with_lora),
    "quantized_var": ("quantized to a few bits", quantized_var),
    "dynamically_quantized_var": ("8-bit whole numbers by PyTorch", dynamically_quantized_var),
    "fp8_var.safetensors": ("8-bit floating point", lambda: eight_bits(tiny_states()[0], "scale_weight")),
    "fp8_vqvae.safetensors": ("8-bit floating point", lambda: eight_bits(tiny_states()[1], "weight_scale")),
    "vqgan": ("plain VQGAN", vqgan),
    "kl_autoencoder": ("KL autoencoder", kl_autoencoder),
    "llamagen_tokenizer": ("tokenizer of LlamaGen or FlexVAR", llamagen_tokenizer),
    "diffusers_vae.safetensors": ("layout of diffusers", diffusers_vae),
    "infinity_tokenizer": ("Infinity's tokenizer", infinity_tokenizer),
    "hart_tokenizer.safetensors": ("HART's tokenizer", hart_tokenizer),
    "stable_diffusion": ("whole Stable Diffusion", stable_diffusion),
    "latent_diffusion_unet": ("UNet of a diffusion model", latent_diffusion_unet),
    "diffusers_unet.safetensors": ("UNet of a diffusion model", diffusers_unet),
    "flux.safetensors": ("FLUX", flux),
    "dit": ("DiT, SiT", dit),
    "mar": ("MAR", mar),
    "llamagen": ("LlamaGen, which", llamagen),
    "taming_transformer": ("VQGAN's transformer", taming_transformer),
    "llama.safetensors": ("language model", llama),
    "llama_original": ("language model", llama_original),
    "gpt2": ("language model", gpt2),
    "clip_text": ("text encoder", clip_text),
    "vit": ("vision transformer", vit),
    "resnet": ("convolutional network", resnet),
    "lora.safetensors": ("a LoRA", lora),
    "lora_of_peft.safetensors": ("a LoRA", lora_of_peft),
    "optimizer": ("state of an optimizer", optimizer_state),
    "optimizer_of_the_trainer": ("state of an optimizer", lambda: {"optimizer": optimizer_state()}),
    "whole_model": ("whole object of torch.nn.modules.linear.Linear", lambda: nn.Linear(2, 2)),
    "whole_model_in_a_dict": ("whole object of", lambda: {"epoch": 1, "model": nn.Linear(2, 2)}),
}


def write_project_file(folder: Path, name: str) -> Path:
    """Write the file of a project, as torch.save or safetensors do."""
    payload = PROJECTS[name][1]()
    if name.endswith(".safetensors"):
        save_file(payload, folder / name)
        return folder / name
    torch.save(payload, folder / f"{name}.pth")
    return folder / f"{name}.pth"
