"""Models with weights by chance, in folders as their makers publish them: for where there are no real ones.

What loads and runs them is the real code, at any size. What they write and draw means nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True, slots=True)
class TextSize:
    """A Llama."""

    hidden: int = 32
    layers: int = 2
    heads: int = 4
    key_heads: int = 2
    inner: int = 64
    window: int = 256
    words: int = 400


@dataclass(frozen=True, slots=True)
class ImageSize:
    """A Stable Diffusion, 1.5 where the numbers are those of `SD15`."""

    blocks: Sequence[int] = (32, 64)
    heads: int = 4
    told: int = 32  # what the prompt is turned into
    told_layers: int = 2
    vae: Sequence[int] = (16, 32)
    groups: int = 8
    side: int = 32  # of the latent picture


LLAMA_3B = TextSize(3072, 28, 24, 8, 8192, 131_072, 32_000)
SD15 = ImageSize((320, 640, 1280, 1280), 8, 768, 12, (128, 256, 512, 512), 32, 64)


def make_text_model(
    folder: Path, texts: Iterator[str], size: TextSize = TextSize(), device: str = "cpu"
) -> int:
    """Its number of parameters. The tokenizer is taught from `texts`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    words = _teach_tokenizer(folder, texts, size.words)
    config = LlamaConfig(
        vocab_size=words,
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads,
        intermediate_size=size.inner,
        max_position_embeddings=size.window,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM(config).to(torch.bfloat16 if device != "cpu" else torch.float32)
    model.save_pretrained(folder)
    return int(model.num_parameters())


def _teach_tokenizer(folder: Path, texts: Iterator[str], words: int) -> int:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    taught = Tokenizer(models.BPE())
    taught.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    taught.decoder = decoders.ByteLevel()
    roles = ["<|system|>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        special_tokens=["<s>", "</s>", *roles],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    taught.train_from_iterator(texts, trainer)
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=taught, **special)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def make_image_model(folder: Path, size: ImageSize = ImageSize(), device: str = "cpu") -> int:
    """The number of parameters of its network."""
    import torch
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    with torch.device(device):
        unet = UNet2DConditionModel(
            sample_size=size.side,
            block_out_channels=tuple(size.blocks),
            down_block_types=_blocks("CrossAttnDownBlock2D", "DownBlock2D", len(size.blocks)),
            up_block_types=_blocks("CrossAttnUpBlock2D", "UpBlock2D", len(size.blocks))[::-1],
            cross_attention_dim=size.told,
            attention_head_dim=size.heads,
            norm_num_groups=size.groups,
        )
        vae = AutoencoderKL(
            block_out_channels=tuple(size.vae),
            down_block_types=("DownEncoderBlock2D",) * len(size.vae),
            up_block_types=("UpDecoderBlock2D",) * len(size.vae),
            layers_per_block=2,
            latent_channels=4,
            norm_num_groups=size.groups,
            sample_size=size.side * 8,
        )
        reader = _reader(size)
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=reader,
        tokenizer=_letters(folder / "letters"),
        unet=unet,
        scheduler=_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(dtype=torch.bfloat16 if device != "cpu" else torch.float32).save_pretrained(folder)
    return int(unet.num_parameters())


def _blocks(attending: str, plain: str, number: int) -> tuple[str, ...]:
    return (attending,) * (number - 1) + (plain,)


def _scheduler() -> Any:
    """As that of Stable Diffusion is set up."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def _reader(size: ImageSize) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=1000,
            hidden_size=size.told,
            num_hidden_layers=size.told_layers,
            num_attention_heads=max(4, size.told // 64),
            intermediate_size=size.told * 4,
            max_position_embeddings=77,
            bos_token_id=0,
            eos_token_id=1,
        )
    )


def _letters(folder: Path) -> Any:
    """A tokenizer of CLIP's kind that spells."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{each}</w>" for each in letters)]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({word: place for place, word in enumerate(words)}))
    merges.write_text("#version: 0.2\n")
    special = {"unk_token": words[1]}
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77, **special)
