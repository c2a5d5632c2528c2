"""The models of other projects that people take for a VAR, and what to do with their files.

Everything known is a row of `KINDS`; the first that matches wins. A signature names weights that the project's model
has, and with `!` weights that VAR has and it lacks, as the project's own model code names them. A mark matches whole
parts of a name anywhere in it, so that prefixes do not matter; `*` stands for a number.
"""

from dataclasses import dataclass

CHOOSE_VAR = "This app runs VAR alone: choose a checkpoint of VAR."
CHOOSE_VQVAE = "Use the VQVAE that the VAR was trained with (the official one is vae_ch160v4096z32.pth)."
BOTH = "VAR or VQVAE"


@dataclass(frozen=True)
class ForeignKind:
    """A kind of weights, and what to do with them.

    Args:
        name: what it is, after "The file holds".
        next_step: what to do, one or two sentences.
        signatures: one a line, of which one is enough; the marks in it all have to match. `!mark` must not match, and
            `mark:4` asks for four dimensions.
        relative: "VAR", "VQVAE" or `BOTH` where it has so many of that model's weights that it could be taken for one.
        whole_file: whether the signature is in the structure of a file without any model, instead of in a state dict.
    """

    name: str
    next_step: str
    signatures: str
    relative: str = ""
    whole_file: bool = False


def _own_program(project: str) -> str:
    return f"It needs its own program ({project} on GitHub). {CHOOSE_VAR}"


KINDS = (
    # Weights of any model, changed by another program.
    ForeignKind(
        "a VAR with LoRA adapters that are not merged",
        "Merge them where it was trained (merge_and_unload of peft), and save its state_dict().",
        """
        word_embed lora_A
        word_embed lora_down
        """,
        relative="VAR",
    ),
    ForeignKind(
        "a LoRA, small changes to the weights of another model",
        "Expected whole weights: merge it into its model first. This app takes no LoRA beside a VAR.",
        """
        lora_A
        lora_down
        lora_up
        to_q_lora.down
        hada_w1_a
        lokr_w1
        """,
    ),
    ForeignKind(
        "weights quantized to a few bits (bitsandbytes, GPTQ or the like)",
        "Expected float32, float16 or bfloat16: save the original model's state_dict().",
        """
        weight.absmax
        weight.quant_map
        qweight qzeros
        SCB
        """,
        relative=BOTH,
    ),
    ForeignKind(
        "weights quantized to 8-bit whole numbers by PyTorch (quantize_dynamic or the like)",
        "Expected float32, float16 or bfloat16: save the original model's state_dict() before it is quantized.",
        """
        _packed_params
        zero_point scale
        """,
        relative=BOTH,
    ),
    ForeignKind(
        "weights in 8-bit floating point with scales beside them",
        "Expected float32, float16 or bfloat16: multiply each by its scale, or save the original state_dict().",
        """
        scale_weight
        weight_scale
        weight_scale_inv
        scaled_fp8
        """,
        relative=BOTH,
    ),
    # Transformers that grew from VAR: most of its weights are there, and something else.
    ForeignKind(
        "HMAR, a VAR with blocks and a head of their own for masked prediction within a scale",
        _own_program("NVlabs/HMAR"),
        """
        ns_head.weight mask_head.weight
        mask_blocks.*.attn
        mask_embed.weight word_embed_bias
        """,
        relative="VAR",
    ),
    ForeignKind(
        "Infinity, a text-to-image model that predicts bits and reads its text by cross-attention",
        _own_program("FoundationVision/Infinity"),
        """
        text_proj_for_sos
        text_proj_for_ca
        blocks.*.sa.mat_qkv
        block_chunks.*.*.sa.mat_qkv
        """,
        relative="VAR",
    ),
    ForeignKind(
        "HART, a text-to-image model with a diffusion part for what its tokens leave over",
        _own_program("mit-han-lab/hart"),
        """
        context_embed.weight diffloss
        context_embed.weight blocks.*.attn.qkv_proj.weight
        """,
        relative="VAR",
    ),
    ForeignKind(
        "Switti, a text-to-image model with cross-attention to two CLIP encoders",
        _own_program("yandex-research/switti"),
        """
        text_pooler.weight blocks.*.attn.to_qkv.weight
        text_pooler.weight blocks.*.cross_attn
        """,
        relative="VAR",
    ),
    ForeignKind(
        "STAR, a text-to-image model with cross-attention and rotary positions",
        _own_program("Davinci-XLab/STAR-T2I"),
        """
        encoder_proj.weight blocks.*.cross_attn.mat_kv.weight
        head_logits.weight blocks.*.attn.mat_qkv.weight
        """,
        relative="VAR",
    ),
    ForeignKind(
        "VAR-CLIP, a VAR that takes the CLIP embedding of a text instead of a class",
        _own_program("daixiangzi/VAR-CLIP"),
        "cond_proj.weight noise.weight blocks.*.attn.mat_qkv.weight !class_emb",
        relative="VAR",
    ),
    ForeignKind(
        "distilled decoding's one-step model, which takes noise and has a head for continuous tokens",
        _own_program("microsoft/distilled_decoding"),
        "final_layer_conti pos_1LC",
        relative="VAR",
    ),
    ForeignKind(
        "M-VAR, a VAR with a Mamba layer in every block",
        _own_program("OliverRensu/MVAR"),
        "pos_1LC blocks.*.mamba",
        relative="VAR",
    ),
    ForeignKind(
        "ControlVAR, a VAR that draws an image together with its control map",
        _own_program("lxa9867/ControlVAR"),
        """
        pos_1LC type_1L
        pos_1LC type_embed
        pos_1LC special_embed cond_embed
        """,
        relative="VAR",
    ),
    ForeignKind(
        "a VAR with a mixture of experts in its blocks",
        f"It needs the program that trained it. {CHOOSE_VAR}",
        """
        word_embed blocks.*.ffn.local_experts
        word_embed blocks.*.ffn.experts
        word_embed blocks.*.experts
        word_embed blocks.*.ffn.router
        word_embed blocks.*.router
        word_embed blocks.*.moe
        word_embed blocks.*.ffn.*.fc1
        word_embed blocks.*.ffn.gate !blocks.*.ffn.fc1
        """,
        relative="VAR",
    ),
    ForeignKind(
        "FlexVAR, which has no embedding of the scale and a grid of positions for any resolution",
        _own_program("jiaosiyu1999/FlexVAR"),
        """
        word_embed pos_1LC:4
        class_emb pos_1LC blocks.*.attn.mat_qkv.weight !lvl_embed !lvl_1L
        """,
        relative="VAR",
    ),
    ForeignKind(
        "a VAR with cross-attention, which takes a text or an image instead of a class",
        f"It needs the program that trained it. {CHOOSE_VAR}",
        """
        word_embed blocks.*.cross_attn
        word_embed blocks.*.ca
        """,
        relative="VAR",
    ),
    # Other models for images that carry an autoencoder, or parts named like VAR's.
    ForeignKind(
        "a whole Stable Diffusion or latent diffusion checkpoint",
        CHOOSE_VAR,
        """
        diffusion_model.input_blocks first_stage_model
        diffusion_model.input_blocks cond_stage_model
        diffusion_model.input_blocks conditioner
        diffusion_model.joint_blocks first_stage_model
        """,
    ),
    ForeignKind(
        "the diffusion transformer of Stable Diffusion 3, FLUX or the like",
        CHOOSE_VAR,
        """
        joint_blocks.*.context_block
        double_blocks.*.img_attn
        transformer_blocks.*.attn.add_k_proj
        """,
    ),
    ForeignKind(
        "the UNet of a diffusion model, such as Stable Diffusion",
        CHOOSE_VAR,
        """
        input_blocks.* middle_block.* output_blocks.*
        down_blocks.* up_blocks.* time_embedding.linear_1.weight
        """,
    ),
    ForeignKind(
        "MAR, an autoregressive model without tokens, with a diffusion loss",
        _own_program("LTH14/mar"),
        "diffloss.net mask_token encoder_pos_embed_learned",
    ),
    ForeignKind(
        "LlamaGen, which predicts the tokens of an image one by one",
        _own_program("FoundationVision/LlamaGen"),
        "tok_embeddings.weight cls_embedding layers.*.attention.wqkv.weight",
    ),
    ForeignKind(
        "a VQGAN's transformer (taming-transformers), which predicts the tokens of an image one by one",
        CHOOSE_VAR,
        "tok_emb.weight pos_emb blocks.*.attn.key.weight",
    ),
    ForeignKind(
        "a diffusion transformer: DiT, SiT, PixArt or the like",
        CHOOSE_VAR,
        """
        x_embedder.proj.weight t_embedder.mlp
        blocks.*.adaLN_modulation
        adaln_single.linear.weight
        pos_embed.proj.weight transformer_blocks.*.norm1
        """,
    ),
    # Autoencoders: named like VAR's VQVAE, up to the quantizer.
    ForeignKind(
        "Infinity's tokenizer, which quantizes to bits instead of a codebook",
        f"It belongs to Infinity, not to VAR. {CHOOSE_VQVAE}",
        """
        quantizer.lfq encoder
        quantize.lfq encoder
        """,
        relative="VQVAE",
    ),
    ForeignKind(
        "HART's tokenizer, with a second decoder for what its tokens leave over",
        f"It belongs to HART, not to VAR. {CHOOSE_VQVAE}",
        "decoder2.conv_in post_quant_conv2",
        relative="VQVAE",
    ),
    ForeignKind(
        "the tokenizer of LlamaGen or FlexVAR, which has no scales",
        f"A VAR needs a VQVAE with scales. {CHOOSE_VQVAE}",
        "encoder.conv_blocks decoder.conv_blocks quant_conv",
        relative="VQVAE",
    ),
    ForeignKind(
        "an autoencoder in the layout of diffusers, such as Stable Diffusion's VAE",
        f"A VAR needs a VQVAE with scales. {CHOOSE_VQVAE}",
        "encoder.down_blocks decoder.up_blocks",
        relative="VQVAE",
    ),
    ForeignKind(
        "a plain VQGAN (taming-transformers or latent diffusion), which has a codebook but no scales",
        f"A VAR needs a VQVAE with scales. {CHOOSE_VQVAE}",
        """
        encoder.conv_in decoder.conv_in quantize.embedding !quantize.quant_resi !quantize.ema_vocab_hit_SV
        encoder.conv_in decoder.conv_in quantize.embed
        """,
        relative="VQVAE",
    ),
    ForeignKind(
        "a KL autoencoder (of latent diffusion, Stable Diffusion or MAR), which has no codebook",
        f"A VAR needs a VQVAE with scales. {CHOOSE_VQVAE}",
        "encoder.conv_in decoder.conv_in encoder.down.*.block !quantize",
        relative="VQVAE",
    ),
    # Models for other things.
    ForeignKind(
        "a language model (Llama, GPT or the like)",
        CHOOSE_VAR,
        """
        embed_tokens.weight layers.*.self_attn
        tok_embeddings.weight layers.*.attention.wq.weight
        wte.weight h.*.attn.c_attn.weight
        embed_in.weight layers.*.attention.query_key_value.weight
        """,
    ),
    ForeignKind(
        "a text encoder (CLIP, T5, BERT or the like)",
        CHOOSE_VAR,
        """
        text_model.encoder.layers.*.self_attn
        transformer.resblocks.*.attn token_embedding.weight
        shared.weight encoder.block.*.layer.*.SelfAttention
        word_embeddings.weight encoder.layer.*.attention
        """,
    ),
    ForeignKind(
        "a vision transformer that recognizes images (ViT, DINO, MAE or the like)",
        CHOOSE_VAR,
        """
        cls_token patch_embed.proj.weight
        embeddings.patch_embeddings.projection.weight
        patch_embed.proj.weight blocks.*.attn.qkv.weight
        class_token conv_proj.weight
        """,
    ),
    ForeignKind(
        "a convolutional network that recognizes images (ResNet, VGG, Inception or the like)",
        CHOOSE_VAR,
        """
        layer1.*.conv1.weight bn1
        layer1.*.conv1.weight fc
        features.*.weight classifier.*.weight
        Mixed_5b.branch1x1
        features.*.*.weight classifier.*.weight
        stages.*.blocks.*.conv_dw
        """,
    ),
    # Files around a model, without it.
    ForeignKind(
        "the state of an optimizer, without the model",
        "Choose the file of the model that was saved beside it.",
        """
        param_groups
        exp_avg exp_avg_sq
        optimizer_state_dict base_optimizer_state
        momentum_buffer
        """,
        whole_file=True,
    ),
)
