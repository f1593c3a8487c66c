"""from_freia: sequences and graphs of Glow blocks, random weights everywhere, both directions."""

import warnings

import numpy as np
import pytest
from adapting import LIMIT, apart, randomize

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("FrEIA", reason="FrEIA is not installed")

import FrEIA.framework as ff  # noqa: E402
import FrEIA.modules as fm  # noqa: E402

from refglow.validation.adapters import NotRepresentableError, from_freia  # noqa: E402

nn = torch.nn
SHAPE = (3, 8, 12)


def subnet(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 4, 1),
                         nn.ReLU(), nn.Conv2d(4, outputs, 3, padding=1))


def images():
    return torch.tensor(np.random.default_rng(1).random((3, *SHAPE)) - 0.5)


def sequence(*step, levels=2, steps=2, legacy=False):
    """A SequenceINN; `step` gives pairs (module class, arguments as a function of channels)."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 FrEIA draws its permutations from it
    model = ff.SequenceINN(*SHAPE)
    for _ in range(levels):
        model.append(fm.IRevNetDownsampling, legacy_backend=legacy)
        for _ in range(steps):
            for kind, arguments in step:
                model.append(kind, **arguments(model.shapes[-1][0]))
    return prepared(model)


def prepared(model):
    """In float64, ActNorms initialised, random weights, and soft permutations orthogonal in it."""
    model = model.double()
    with torch.no_grad():
        model(images())
        randomize(model, torch)
        for block in model.modules():
            if isinstance(block, fm.AllInOneBlock):
                made_orthogonal(block)
    return model


def made_orthogonal(block):
    """FrEIA keeps these in float32, and takes the transpose for the inverse."""
    def nearest(matrix):
        u, _, v = torch.linalg.svd(matrix)
        return u @ v
    if block.householder:
        block.w_0.data = nearest(block.w_0)
    else:
        w = nearest(block.w_perm[:, :, 0, 0])
        block.w_perm.data = w[:, :, None, None]
        block.w_perm_inv.data = w.T.contiguous()[:, :, None, None]


def error(model):
    x = images()
    with torch.no_grad():
        z, log_det = model(x)
        back, log_det_back = model(z, rev=True)
    parts = z if isinstance(z, tuple) else (z,)
    latents = torch.cat([part.flatten(1) for part in parts], 1).numpy()
    return apart(from_freia(model), x, latents, log_det.numpy(), back, log_det_back.numpy())


def fixed_matrix(channels):
    """Invertible, and not orthogonal; in float64, in which FrEIA then inverts it."""
    noise = np.random.default_rng(channels).standard_normal((channels, channels))
    return {"M": torch.tensor(1.1 * np.linalg.qr(noise)[0] + 0.02 * noise)}


ACTNORM = (fm.ActNorm, lambda c: {})
PERMUTE = (fm.PermuteRandom, lambda c: {})
FIXED = (fm.Fixed1x1Conv, fixed_matrix)


def coupling(kind, **arguments):
    return kind, lambda c: {"subnet_constructor": subnet} | arguments


@pytest.mark.parametrize("options", [
    ((ACTNORM, PERMUTE, coupling(fm.GLOWCouplingBlock)), {}),
    ((ACTNORM, FIXED, coupling(fm.GLOWCouplingBlock, clamp=1.2)), {"legacy": True}),
    ((coupling(fm.GLOWCouplingBlock, clamp=3.0, clamp_activation="TANH", split_len=0.25), PERMUTE),
     {}),
    ((PERMUTE, coupling(fm.GLOWCouplingBlock, clamp_activation="SIGMOID")), {"levels": 1}),
    ((FIXED, ACTNORM, coupling(fm.AffineCouplingOneSided, clamp=1.0, clamp_activation="TANH")), {}),
    ((coupling(fm.NICECouplingBlock), FIXED, ACTNORM), {"steps": 1}),
    ((PERMUTE, coupling(fm.NICECouplingBlock), ACTNORM, FIXED), {"levels": 1})],
    ids=["glow", "legacy", "tanh", "sigmoid", "one-sided", "nice", "more than steps"])
def test_sequences_are_reproduced(options):
    step, arguments = options
    assert error(sequence(*step, **arguments)) < LIMIT


@pytest.mark.parametrize("options", [
    {}, {"permute_soft": True}, {"learned_householder_permutation": 3},
    {"learned_householder_permutation": 2, "permute_soft": True},
    {"global_affine_type": "SIGMOID", "affine_clamping": 1.5},
    {"global_affine_type": "EXP", "global_affine_init": 0.7}],
    ids=lambda options: ",".join(f"{k}={v}" for k, v in options.items()) or "defaults")
def test_all_in_one_blocks_are_reproduced(options):
    assert error(sequence(coupling(fm.AllInOneBlock, **options))) < LIMIT


def test_a_soft_permutation_as_it_is_kept_is_reproduced_towards_the_latent():
    torch.manual_seed(0)
    model = ff.SequenceINN(*SHAPE)
    model.append(fm.IRevNetDownsampling)
    model.append(fm.AllInOneBlock, subnet_constructor=subnet, permute_soft=True)
    model = model.double()
    randomize(model, torch)
    with torch.no_grad():
        z, log_det = model(images())
    assert apart(from_freia(model), images(), z.flatten(1).numpy(), log_det.numpy()) < LIMIT


def graph(low_goes_on=True, concat=True, finest_first=True):
    nodes = [ff.InputNode(*SHAPE)]

    def then(kind, **arguments):
        nodes.append(ff.Node(nodes[-1], kind, arguments))
    then(fm.IRevNetDownsampling)
    then(fm.GLOWCouplingBlock, subnet_constructor=subnet)
    then(fm.PermuteRandom)
    then(fm.Split)
    split = nodes[-1]
    going_on, leaving = (split.out0, split.out1) if low_goes_on else (split.out1, split.out0)
    nodes.append(ff.Node(going_on, fm.IRevNetDownsampling, {}))
    then(fm.ActNorm)
    then(fm.GLOWCouplingBlock, subnet_constructor=subnet)
    ends = [leaving, nodes[-1].out0] if finest_first else [nodes[-1].out0, leaving]
    if not concat:
        return [*nodes, *(ff.OutputNode(end) for end in ends)]
    flat = [ff.Node(end, fm.Flatten, {}) for end in ends]
    joined = ff.Node([node.out0 for node in flat], fm.Concat, {})
    return [*nodes, *flat, joined, ff.OutputNode(joined)]


@pytest.mark.parametrize("low_goes_on", [True, False])
@pytest.mark.parametrize("concat", [True, False])
@pytest.mark.parametrize("finest_first", [True, False])
def test_graphs_are_reproduced(low_goes_on, concat, finest_first):
    model = prepared(ff.GraphINN(graph(low_goes_on, concat, finest_first)))
    assert error(model) < LIMIT
    assert from_freia(model).glow.structure.has_exit(1)


def test_a_reversible_graph_net_is_one():
    with pytest.warns(DeprecationWarning, match="deprecated in favour of GraphINN"):
        model = ff.ReversibleGraphNet(graph(), verbose=False)
    with warnings.catch_warnings():  # its forward warns that it returns a pair
        warnings.filterwarnings("ignore", "ReversibleGraphNet's forward", DeprecationWarning)
        assert error(prepared(model)) < LIMIT


@pytest.mark.parametrize(("step", "message"), [
    (coupling(fm.AllInOneBlock, gin_block=True), "gin_block"),
    (coupling(fm.AllInOneBlock, reverse_permutation=True), "reverse_permutation"),
    (coupling(fm.AllInOneBlock, affine_clamping=0.7), r"exp\(0.7 tanh\(r\)\).*clamps"),
    (coupling(fm.GLOWCouplingBlock, clamp_activation=torch.sin), "own clamp_activation"),
    (coupling(fm.RNVPCouplingBlock), "two networks"),
    ((fm.HaarDownsampling, lambda c: {}), "adds and subtracts")])
def test_what_no_dialect_has_is_refused(step, message):
    with pytest.raises(NotRepresentableError, match=message):
        from_freia(sequence(step, levels=1, steps=1))


def test_reflections_of_flat_vectors_are_refused():
    model = ff.SequenceINN(*SHAPE)
    model.append(fm.IRevNetDownsampling)
    model.append(fm.Flatten)
    model.append(fm.HouseholderPerm, n_reflections=2)
    with pytest.raises(NotRepresentableError, match="flat vector"):
        from_freia(model)


def test_two_kinds_of_coupling_are_refused():
    model = sequence(coupling(fm.GLOWCouplingBlock), coupling(fm.AllInOneBlock), levels=1)
    with pytest.raises(NotRepresentableError, match="its sides is 'one'"):
        from_freia(model)


def test_an_actnorm_that_has_not_seen_data_is_refused():
    model = sequence(ACTNORM, coupling(fm.GLOWCouplingBlock), levels=1)
    model[1].init_on_next_batch = True
    with pytest.raises(NotRepresentableError, match="has not seen data"):
        from_freia(model)
