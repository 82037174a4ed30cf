"""Names and shapes of the blocks that diffusers' models are made of, as templates of family files.

A shape is text: comma separated expressions over the fields and indices of the file. Every
function returns name to shape for the module at `at`.
"""

from __future__ import annotations

type Shapes = dict[str, str]


def items(name: str, at: str, most: int, values: list[str]) -> dict[str, object]:
    """Return fields for the first `most` items of a list in config.json, and their values.

    The first value stands for an item that is not there.
    """
    return {
        f"{name}{place}": {"at": f"{at}/{place}", "default": f"'{values[0]}'", "values": values}
        for place in range(most)
    }


def choice(at: str, *values: object) -> dict[str, object]:
    """Return a field with few values, of which the first is the default."""
    default = f"'{values[0]}'" if isinstance(values[0], str) else values[0]
    return {"at": at, "default": default, "values": list(values)}


def affine(at: str, width: str) -> Shapes:
    """Return a normalization with weight and bias."""
    return {f"{at}.weight": width, f"{at}.bias": width}


def linear(at: str, outputs: str, inputs: str, *, bias: bool = True) -> Shapes:
    """Return a linear layer."""
    return {f"{at}.weight": f"{outputs}, {inputs}"} | ({f"{at}.bias": outputs} if bias else {})


def conv(at: str, outputs: str, inputs: str, kernel: str = "3", *, bias: bool = True) -> Shapes:
    """Return a convolution over two axes."""
    shapes = {f"{at}.weight": f"{outputs}, {inputs}, {kernel}, {kernel}"}
    return shapes | ({f"{at}.bias": outputs} if bias else {})


def resnet(at: str, outputs: str, inputs: str, *, time: str = "", scale: str = "") -> Shapes:
    """Return ResnetBlock2D without its shortcut; `time` is the width of the time embedding."""
    return {
        **affine(f"{at}.norm1", inputs),
        **conv(f"{at}.conv1", outputs, inputs),
        **(linear(f"{at}.time_emb_proj", f"({outputs}){scale}", time) if time else {}),
        **affine(f"{at}.norm2", outputs),
        **conv(f"{at}.conv2", outputs, outputs),
    }


def attention(at: str, width: str, context: str, *, bias: bool = False) -> Shapes:
    """Return Attention: queries of `width`, keys and values from `context`."""
    return {
        **linear(f"{at}.to_q", width, width, bias=bias),
        **linear(f"{at}.to_k", width, context, bias=bias),
        **linear(f"{at}.to_v", width, context, bias=bias),
        **linear(f"{at}.to_out.0", width, width),
    }


def feed_forward(at: str, width: str, *, gated: bool = False) -> Shapes:
    """Return FeedForward, which is four times as wide inside; GEGLU doubles its first layer."""
    return {
        **linear(f"{at}.net.0.proj", f"{8 if gated else 4} * {width}", width),
        **linear(f"{at}.net.2", width, f"4 * {width}"),
    }


def basic_transformer(at: str, width: str, own: str, context: str) -> Shapes:
    """Return BasicTransformerBlock; `own` is what its first attention attends to."""
    return {
        **affine(f"{at}.norm1", width),
        **attention(f"{at}.attn1", width, own),
        **affine(f"{at}.norm2", width),
        **attention(f"{at}.attn2", width, context),
        **affine(f"{at}.norm3", width),
        **feed_forward(f"{at}.ff", width, gated=True),
    }


def two_layers(at: str, width: str, inputs: str) -> Shapes:
    """Return TimestepEmbedding and the projections like it."""
    return {
        **linear(f"{at}.linear_1", width, inputs),
        **linear(f"{at}.linear_2", width, width),
    }


def spatial_transformer(
    at: str, width: str, count: str, own: str, context: str
) -> tuple[Shapes, Shapes, Shapes]:
    """Return Transformer2DModel: all but its projections, these as convolutions, and as linear."""
    both = ("proj_in", "proj_out")
    body = {
        **affine(f"{at}.norm", width),
        **basic_transformer(f"{at}.transformer_blocks.{{k<{count}}}", width, own, context),
    }
    as_conv: Shapes = {}
    as_linear: Shapes = {}
    for name in both:
        as_conv |= conv(f"{at}.{name}", width, width, "1")
        as_linear |= linear(f"{at}.{name}", width, width)
    return body, as_conv, as_linear


def components(*listed: tuple[str, str, str]) -> list[dict[str, object]]:
    """Return the parts of a model: a key, a title, and the prefixes of names, with spaces."""
    return [
        {"key": key, "title": title, "short": title, "prefixes": prefixes.split()}
        for key, title, prefixes in listed
    ]
