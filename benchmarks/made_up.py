"""Layers and results for the tests of the benchmarks themselves."""

from benchmarks import summary
from benchmarks.problems import Layer, load_layers

DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1}


def conv(*shape, **options):
    """2-D, one value for both axes: n, ic, size, oc, kernel."""
    n, ic, size, oc, kernel = shape
    axes = {name: (options.pop(name, start),) * 2 for name, start in DEFAULTS.items()}
    groups = options.pop("groups", 1)
    return Layer(
        "test", "conv", n, ic, (size, size), oc, (kernel, kernel), groups=groups, **axes, **options
    )


def row(layer, computation, peer, seconds, variant="planar", **other):
    """Return what the harness keeps of one measurement."""
    flops, moved = (layer.flops if layer.kind == "conv" else None), layer.bytes_moved(computation)
    return {
        "layer": layer.name,
        "kind": layer.kind,
        "extra": layer.extra,
        "category": layer.category,
        "computation": computation,
        "peer": peer,
        "variant": variant,
        "flops": flops,
        "bytes": moved,
        "verified": True,
        "failure": None,
        "error": 1e-6,
        "median_s": seconds,
        **other,
    }


def made_up_comparison():
    """Named layers twice as fast as the peer, extra ones and pools eight times."""
    rows = []
    for layer in load_layers():
        factor = 8 if layer.extra or layer.kind == "pool" else 2
        for computation in layer.computations:
            rows.append(row(layer, computation, "fastconv", 1e-3))
            rows.append(row(layer, computation, "fastconv", 2e-3, "channels_last"))
            rows.append(row(layer, computation, "torch", factor * 1e-3))
            rows.append(row(layer, computation, "jax", 1e-2))
    ceilings = {"isa": "avx512", "fma_flops": 5e11, "micro_kernel_flops": 4e11, "copy_bytes": 4e10}
    tuned = {"rows": rows, "ceilings": ceilings, "versions": {"torch": "2"}, "precision": "high"}
    environments = {"tuned": tuned}
    return {
        "command": "python -m benchmarks compare",
        "machine": {"cpu": "a CPU", "cpus": 2},
        "threads": 2,
        "environments": environments,
        "summary": summary.summarize(environments),
    }


def made_up_memory():
    """Return a layer that needs less memory than the peer does, and one that needs more."""

    def measured(step):
        return {"imported": 10**7, "step": step, "pool": 10**6}

    def layer(name, planar, last, theirs):
        found = {"planar": measured(planar), "channels_last": measured(last)}
        return {
            "layer": name,
            "needed": 2 * 10**6,
            "fastconv": found,
            "torch": {"planar": measured(theirs)},
        }

    rows = [layer("small", 4 * 10**6, 3 * 10**6, 6 * 10**6), layer("large", 3, 4, 2)]
    return {"command": "memory", "versions": {"torch": "2", "fastconv": "0"}, "rows": rows}
