"""The published VAR checkpoints: where each lies on the Hugging Face Hub, its licence, and what it is sampled with."""

from dataclasses import dataclass

OFFICIAL_REPO = "FoundationVision/var"
OFFICIAL_VQVAE = "vae_ch160v4096z32.pth"
NON_COMMERCIAL = "CC BY-NC-SA 4.0 (non-commercial)"


@dataclass(frozen=True)
class KnownModel:
    """One published checkpoint; its settings are those its authors sample with.

    Args:
        name: what people call it.
        repo: its repository, "owner/name".
        file: its path there.
        licence: of the weights.
        num_bytes: size of the file; None where it is not known.
        image_size: pixels per side.
        cfg_scale: strength of guidance; 0 is off.
        top_k: 0 is off.
        top_p: 0 is off.
        note: what one should know before choosing it; "" for nothing.
        vae_repo: the repository of its VQVAE.
        vae_file: the VQVAE's path there.
    """

    name: str
    repo: str
    file: str
    licence: str = "MIT"
    num_bytes: int | None = None
    image_size: int = 256
    cfg_scale: float = 4.0
    top_k: int = 900
    top_p: float = 0.95
    note: str = ""
    vae_repo: str = OFFICIAL_REPO
    vae_file: str = OFFICIAL_VQVAE

    @property
    def source(self) -> str:
        """Its address, as commands and `VARPipeline.from_checkpoint` take it."""
        return f"hf://{self.repo}/{self.file}"

    @property
    def vae_source(self) -> str:
        """The address of its VQVAE."""
        return f"hf://{self.vae_repo}/{self.vae_file}"


def find_known(repo: str, file: str | None) -> KnownModel | None:
    """The row of a file on the Hub; None for other files."""
    return next((model for model in KNOWN_MODELS if (model.repo, model.file) == (repo, file)), None)


def is_known_vqvae(repo: str, file: str | None) -> bool:
    """Whether a file on the Hub is the VQVAE of a known model."""
    return any((model.vae_repo, model.vae_file) == (repo, file) for model in KNOWN_MODELS)


# Sizes in bytes are those of the float32 weights, which agree with the Hub's own figures where these could be seen (a
# depth of 12 with 535 MB, of 30 with 8.04 GB). Settings: the demo of github.com/FoundationVision/VAR.
_OFFICIAL = (
    KnownModel("VAR-d16", OFFICIAL_REPO, "var_d16.pth", num_bytes=1_243_000_000),
    KnownModel("VAR-d20", OFFICIAL_REPO, "var_d20.pth", num_bytes=2_406_000_000),
    KnownModel("VAR-d24", OFFICIAL_REPO, "var_d24.pth", num_bytes=4_136_000_000),
    KnownModel("VAR-d30", OFFICIAL_REPO, "var_d30.pth", num_bytes=8_042_000_000),
    KnownModel("VAR-d36", OFFICIAL_REPO, "var_d36.pth", image_size=512),
)

# Settings: README and VAR_sample.py of github.com/thu-ml/CCA.
_CCA = tuple(
    KnownModel(
        f"VAR-d{depth} + CCA",
        "ChenDRAG/CCA_VAR",
        f"CCA_VAR_Guidance_Free/VAR_d{depth}_CCA.pth",
        cfg_scale=0.0,
        top_p=0.96,
        note="Trained to need no guidance: half the work an image.",
    )
    for depth in (16, 20, 24, 30)
)

# Settings: README and VAR_sample.py of github.com/NVlabs/DDO, which draws from all tokens.
_DDO = tuple(
    KnownModel(
        f"VAR-d{depth} + DDO",
        "nvidia/DirectDiscriminativeOptimization",
        f"var_d{depth}-ddo.pth",
        licence=NON_COMMERCIAL,
        cfg_scale=1.4,
        top_k=0,
        top_p=0.0,
        note="Its authors sample with a guidance of 1.0 or, for the best FID, 1.4.",
    )
    for depth in (16, 30)
)

# Each is the state dict of a whole VAR, so it runs alone. Settings: infer_CoDe.py of github.com/czg1225/CoDe.
_CODE = tuple(
    KnownModel(
        f"CoDe {role}, {drafted} scales drafted",
        "Zigeng/VAR_CoDe",
        f"{role}_{drafted}.pth",
        num_bytes=num_bytes,
        top_k=600,
        note=f"One half of a pair, tuned to draw only {scales} of 10 scales; here it draws all of them.",
    )
    for drafted in (9, 8, 7, 6)
    for role, scales, num_bytes in (
        ("drafter", f"the first {drafted}", 8_040_000_000),
        ("refiner", "the last" if drafted == 9 else f"the last {10 - drafted}", None),
    )
)

KNOWN_MODELS = _OFFICIAL + _CCA + _DDO + _CODE
