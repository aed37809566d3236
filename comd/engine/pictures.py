"""Pictures as a model takes them. In: a `data:` or `comd-image:` URL. Out: model inputs and the text that
stands for the picture in a prompt. Used by training and by serving; each picture is prepared once.
"""

import hashlib
import io
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from shared.errors import BadRequest, Unprocessable
from shared.images import ImageStore, data_url_bytes
from shared.types import IMAGE_SCHEME

TEXT_KEYS = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}


@dataclass(frozen=True)
class Picture:
    """`inputs` go to the model's forward; `placeholder` replaces the image token in the rendered prompt."""

    inputs: dict[str, torch.Tensor]
    placeholder: str

    @property
    def num_bytes(self) -> int:
        return sum(value.numel() * value.element_size() for value in self.inputs.values())


class Pictures:
    """Prepared pictures of one processor, the latest used of them kept up to a limit of bytes."""

    def __init__(self, processor: Any, store: ImageStore | None, cache_bytes: int = 256 * 1024 * 1024):
        self.processor, self.store, self.cache_bytes = processor, store, cache_bytes
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._kept_bytes = 0

    def get(self, url: str) -> Picture:
        """The picture of a URL. Raises NotFound, Unprocessable, TooLarge or BadRequest."""
        key = url if url.startswith(IMAGE_SCHEME) else hashlib.sha256(url.encode()).hexdigest()
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        picture = prepare(self.processor, self._bytes(url))
        self._kept[key] = picture
        self._kept_bytes += picture.num_bytes
        while self._kept_bytes > self.cache_bytes and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].num_bytes
        return picture

    def _bytes(self, url: str) -> bytes:
        if url.startswith("data:"):
            return data_url_bytes(url)
        if not url.startswith(IMAGE_SCHEME):
            raise BadRequest(f"image url {url[:80]!r}: expected a data: or a comd-image: URL")
        if self.store is None:
            raise BadRequest(f"{url[:80]}: this engine has no image store; start it with --image-store")
        return self.store.read(url.removeprefix(IMAGE_SCHEME))


def prepare(processor: Any, data: bytes) -> Picture:
    """Run the processor's own picture pipeline on the bytes of one picture."""
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    try:
        if type(processor).__name__ == "LlavaProcessor":
            return prepare_llava(processor, image)
        return prepare_any(processor, image)
    except ValueError as error:  # such as an aspect ratio beyond Qwen's 200
        raise Unprocessable(
            f"a picture of {image.width}x{image.height} cannot be prepared: {error}"
        ) from error


def prepare_llava(processor: Any, image: Image.Image) -> Picture:
    """The same as below by LLaVA's own two steps, without the checks of a whole call: in 40 % of the time."""
    inputs = processor.image_processor(image, return_tensors="pt")
    return Picture(dict(inputs), processor.replace_image_token(inputs, 0))


def prepare_any(processor: Any, image: Image.Image, **options: Any) -> Picture:
    """By the processor's public call, on a prompt that is nothing but the image token."""
    token = processor.image_token
    made = processor(
        images=image, text=token, return_text_replacement_offsets=True, return_tensors="pt", **options
    )
    (replaced,) = made.pop("text_replacement_offsets")[0]
    inputs = {key: value for key, value in made.items() if key not in TEXT_KEYS}
    return Picture(inputs, replaced["replacement"])


def blank(processor: Any) -> Picture:
    """A small white picture in one tile. Not black: Idefics3 takes a picture of zeros for padding."""
    tiled = hasattr(processor.image_processor, "do_image_splitting")
    options = {"images_kwargs": {"do_image_splitting": False}} if tiled else {}
    return prepare_any(processor, Image.new("RGB", (32, 32), "white"), **options)


def token_types(processor: Any, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Which of the ids (B, T) stand for pictures, under the name by which the model takes it, if it does."""
    if not processor.return_mm_token_type_ids:
        return {}
    names = processor.model_input_names
    name = "mm_token_type_ids" if "mm_token_type_ids" in names else "token_type_ids"
    return {name: torch.tensor(processor.create_mm_token_type_ids(input_ids.tolist()))}


def stack(pictures: list[Picture]) -> dict[str, torch.Tensor]:
    """The inputs of all pictures of a batch, in order, along their first dimension.

    Whatever differs behind it (Idefics3's and LLaVA-NeXT's tiles) is padded with zeros, which models skip.
    """
    if not pictures:
        return {}
    return {key: _joined([picture.inputs[key] for picture in pictures]) for key in sorted(pictures[0].inputs)}


def _joined(tensors: list[torch.Tensor]) -> torch.Tensor:
    shapes = {tensor.shape[1:] for tensor in tensors}
    if len(shapes) == 1:
        return torch.cat(tensors)
    largest = [max(sizes) for sizes in zip(*shapes, strict=True)]
    made = tensors[0].new_zeros(sum(len(tensor) for tensor in tensors), *largest)
    for at, row in enumerate(row for tensor in tensors for row in tensor):
        made[at][tuple(slice(size) for size in row.shape)] = row
    return made
