"""A checkout of the reference implementation in a process of its own, on the same weights, for `bench --reference`.

The process is this module, too: it imports the checkout's `models`, takes a request a line, and answers with a line.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from var.device import synchronize
from var.pipeline import VARPipeline

SETTINGS = {"cfg": 4.0, "top_k": 900, "top_p": 0.95}  # of its notebook, and this package's defaults


class Reference:
    """The reference implementation with the weights of a pipeline; close it after use.

    Args:
        folder: the checkout, with `models/` in it.
        pipeline: of the official sizes.

    Raises:
        ValueError: there is no checkout, or it cannot be used.
    """

    def __init__(self, folder: Path, pipeline: VARPipeline):
        if not (folder / "models" / "var.py").is_file():
            raise ValueError(f"{folder} holds no models/var.py; expected a checkout of the reference implementation")
        self._files = contextlib.ExitStack()
        scratch = Path(self._files.enter_context(tempfile.TemporaryDirectory(prefix="var-bench-")))
        config = pipeline.var.config
        weights = {
            "var": {
                key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in _state(pipeline.var)
            },
            "vae": {key: tensor.float() for key, tensor in _state(pipeline.vqvae)},
            "sizes": {
                "depth": config.depth,
                "num_classes": config.num_classes,
                "patch_nums": list(config.patch_nums),
                "shared_aln": config.shared_adaln,
                "V": config.vocab_size,
                "Cvae": config.z_channels,
                "ch": pipeline.vqvae.config.ch,
                "share_quant_resi": pipeline.vqvae.config.phi_sharing,
                "attn_l2_norm": config.attn_l2_norm,
            },
        }
        torch.save(weights, scratch / "weights.pth")
        self._errors = self._files.enter_context((scratch / "errors.txt").open("w+"))
        command = [sys.executable, "-m", __name__, str(folder.resolve()), str(scratch / "weights.pth")]
        hidden = (
            {"CUDA_VISIBLE_DEVICES": ""} if pipeline.device.type == "cpu" else {}
        )  # it takes a GPU where there is one
        self._process = subprocess.Popen(
            [*command, str(pipeline.device)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, **hidden},
        )
        assert self._process.stdin is not None and self._process.stdout is not None, "both are pipes"
        self._input, self._output = self._process.stdin, self._process.stdout
        self._read()

    def generate(self, class_labels: Sequence[int], seed: int, dtype: torch.dtype) -> tuple[float, torch.Tensor]:
        """Seconds of a generation with images, and its tokens, int64 (B, L).

        Args:
            class_labels: of the images.
            seed: of the one generator of the batch.
            dtype: float32, or the precision of its autocast.
        """
        request = {"labels": list(class_labels), "seed": seed, "dtype": str(dtype).removeprefix("torch.")}
        print(json.dumps(request), file=self._input, flush=True)
        answer = self._read()
        return answer["seconds"], torch.tensor(answer["tokens"])

    def close(self) -> None:
        """End the process, and delete the weights."""
        self._input.close()
        self._process.wait()
        self._output.close()
        self._files.close()

    def _read(self) -> dict:
        line = self._output.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines() or ["it ended"]
            self._files.close()
            raise ValueError(
                f"the reference implementation cannot make images of this model: {said[-1]}. It builds the official "
                "sizes alone: give --depth 16, say, instead of a file"
            )
        return json.loads(line)


def _state(model: torch.nn.Module):
    return model.state_dict().items()


def serve(folder: str, weights: str, device: str) -> None:
    """Answer requests on standard input until it ends."""
    answers = sys.stdout
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # as in its notebook
    sys.path.insert(0, folder)
    with contextlib.redirect_stdout(sys.stderr):  # it prints while it builds
        from models import build_vae_var  # type: ignore[import-not-found] # of the reference implementation

        content = torch.load(weights, weights_only=True)
        sizes = {**content["sizes"], "patch_nums": tuple(content["sizes"]["patch_nums"])}
        vae, transformer = build_vae_var(device=device, **sizes)
        vae.load_state_dict(content["vae"], strict=True)
        transformer.load_state_dict(content["var"], strict=True)
        del content
        vae.eval(), transformer.eval()
    tokens = []
    vae.quantize.embedding.register_forward_pre_hook(lambda module, inputs: tokens.append(inputs[0]))
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        dtype = getattr(torch, request["dtype"])
        labels = torch.tensor(request["labels"], device=device)
        tokens.clear()
        start = time.perf_counter()
        with torch.inference_mode(), torch.autocast(device, dtype, enabled=dtype != torch.float32):
            transformer.autoregressive_infer_cfg(len(labels), labels, request["seed"], more_smooth=False, **SETTINGS)
        synchronize(torch.device(device))
        seconds = time.perf_counter() - start
        answer = {"seconds": seconds, "tokens": torch.cat(tokens, dim=1).tolist()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for argument in ("folder", "weights", "device"):
        parser.add_argument(argument)
    serve(**vars(parser.parse_args()))
