"""What may go in: every kind of array, number type and memory layout; and what comes out."""

import array

import numpy as np
import pytest

import refglow as rg
from refglow.structure import flatten
from refglow.validation.cases import CASES, additive_network, small_network
from refglow.validation.random_models import randomize_weights

rgb = rg.bijectors


def glow(dtype=np.float32, **arguments):
    defaults = dict(output_shape=(4, 4, 2), num_glow_blocks=2, num_steps_per_block=1,
                    coupling_bijector_fn=small_network, seed=0, dtype=dtype)
    result = rgb.Glow(**(defaults | arguments))
    randomize_weights(result, np.random.default_rng(0), gain=0.5)
    return result


class DLPackOnly:
    """An array of another library, which knows no NumPy."""

    def __init__(self, values):
        self._values = values

    def __dlpack__(self, **kwargs):
        return self._values.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()


X = np.random.default_rng(1).random((3, 4, 4, 2)).astype(np.float32)


@pytest.mark.parametrize("convert", [
    lambda x: x.tolist(), lambda x: tuple(map(tuple, x.tolist())), DLPackOnly, memoryview,
    lambda x: list(x), lambda x: rg.Variable(x), lambda x: x.astype(object).astype(np.float32),
    np.ma.asarray], ids=["lists", "tuples", "dlpack", "memoryview", "list of arrays", "Variable",
                         "copy", "subclass"])
def test_every_array_like_is_taken(convert):
    bijector = glow()
    expected, expected_ildj = bijector.inverse_and_log_det(X)
    z, ildj = bijector.inverse_and_log_det(convert(X))
    assert type(z) is np.ndarray and z.dtype == ildj.dtype == np.float32
    assert np.array_equal(z, expected) and np.array_equal(ildj, expected_ildj)


def test_torch_tensors_are_taken():
    torch = pytest.importorskip("torch")
    bijector = glow()
    tensor = torch.from_numpy(X.copy())
    assert np.array_equal(bijector.inverse(tensor), bijector.inverse(X))
    assert np.array_equal(tensor.numpy(), X)
    assert np.array_equal(bijector.inverse(torch.from_numpy(X.copy()).permute(0, 2, 1, 3)),
                          bijector.inverse(X.transpose(0, 2, 1, 3)))
    with pytest.raises(TypeError, match=r"np\.asarray\(y, dtype='float32'\)"):
        bijector.inverse(tensor.double())
    assert bijector.inverse(np.asarray(tensor.double(), dtype="float32")).shape == (3, 32)


@pytest.mark.tfp
def test_tensorflow_tensors_are_taken():
    tf = pytest.importorskip("tensorflow")
    bijector = glow()
    assert np.array_equal(bijector.inverse(tf.constant(X)), bijector.inverse(X))
    assert np.array_equal(bijector.inverse(tf.Variable(X)), bijector.inverse(X))
    with pytest.raises(TypeError, match="computes in float32, but y is float64"):
        bijector.inverse(tf.constant(X, tf.float64))
    assert rgb.Glow((2, 2, 1), 1, 1, dtype=tf.float64).dtype == np.float64


def test_integers_and_booleans_convert():
    bijector = glow()
    pixels = np.random.default_rng(0).integers(0, 3, (2, 4, 4, 2))
    expected = bijector.inverse(pixels.astype(np.float32))
    for dtype in (np.uint8, np.int64, np.uint16, np.int32):
        assert np.array_equal(bijector.inverse(pixels.astype(dtype)), expected)
    assert np.array_equal(bijector.inverse(pixels.tolist()), expected)
    mask = pixels > 1
    assert np.array_equal(bijector.inverse(mask), bijector.inverse(mask.astype(np.float32)))
    for value, result in [(2, 4.0), (True, 2.0), (range(3), [0, 2, 4]), (np.int8(3), 6.0),
                          (array.array("i", [1, 2]), [2, 4])]:
        y = rgb.Scale(2.0).forward(value)
        assert y.dtype == np.float32 and y.tolist() == result


def test_python_numbers_take_the_bijectors_type():
    for dtype in (np.float32, np.float64, np.longdouble, np.complex128):
        shift = rgb.Shift(np.array([1, 2], dtype))
        assert shift.forward([0.5, 1]).dtype == dtype
        assert shift.forward(0.5).shape == (2,)
    assert rgb.Exp().forward(1.0).dtype == np.float32
    assert rgb.Exp().forward(np.float64(1.0)).dtype == np.float64
    assert rgb.Scale(3.0).forward(np.array([1.0], np.longdouble)).dtype == np.longdouble
    assert rgb.Scale(3).forward(np.float16([1.0])).dtype == np.float16


@pytest.mark.parametrize("value", [
    X.astype(np.float64), X.astype(np.float16), X.astype(np.longdouble), X.astype(">f4"),
    X.astype(np.complex128)], ids=lambda v: str(v.dtype))
def test_a_float_array_of_another_type_is_refused_with_the_cast_to_write(value):
    bijector = glow()
    with pytest.raises(TypeError, match=r"computes in float32, but y is") as error:
        bijector.inverse(value)
    message = str(error.value)
    assert str(value.dtype) in message and "dtype=" in message
    if value.dtype.kind == "f":
        assert "y.astype('float32')" in message
        np.testing.assert_allclose(bijector.inverse(value.astype("float32")), bijector.inverse(X),
                                   rtol=1e-2, atol=1e-2)
    for method in (bijector.inverse_log_det_jacobian, bijector.inverse_and_log_det,
                   bijector.initialize, bijector):
        with pytest.raises(TypeError, match="computes in float32"):
            method(value if method != bijector else value.reshape(3, 32))


def test_scalars_of_a_numpy_type_are_not_weak():
    with pytest.raises(TypeError, match="float64"):
        rgb.Shift(np.float32([1, 2])).forward(np.float64(1.0))
    with pytest.raises(TypeError, match="float64"):
        rgb.Shift(np.float32([1, 2])).forward([np.float64(1.0), 2.0])


@pytest.mark.parametrize(("value", "message"), [
    ("text", "must hold numbers"), (None, "got a NoneType"), ({}, "got a dict"),
    (object(), "got a object"), ([None, 1.0], "got a NoneType"), (["a", "b"], "must hold num"),
    ([[1.0], [1.0, 2.0]], "not an array of numbers"), (np.datetime64("2020"), "hold num"),
    ((i for i in range(3)), "got a generator"), (rgb.Exp, "got a type")])
def test_what_holds_no_numbers_is_refused(value, message):
    for bijector in (rgb.Scale(2.0, name="mine"), rgb.Chain([rgb.Exp()], name="mine")):
        with pytest.raises(TypeError, match=f"mine: x .*{message}"):
            bijector.forward(value)


# ---- memory -------------------------------------------------------------------------------------

LAYOUTS = {
    "fortran": np.asfortranarray,
    "negative strides": lambda x: x[..., ::-1].copy()[..., ::-1],
    "every other": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "transposed": lambda x: x.T.copy().T,
    "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(
        x.dtype).reshape(x.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_memory_layout_does_not_matter_and_inputs_stay_as_they_are(case, layout):
    bijector, x, event_ndims = case.make(1, np.float64)
    template = bijector.forward_min_event_ndims
    parts = [LAYOUTS[layout](part) for part in flatten(template, x)]
    plain = [np.array(part, order="C") for part in parts]
    for part in parts:
        part.flags.writeable = False
    remade, plainly = (_like(template, values) for values in (parts, plain))
    y, fldj = bijector.forward_and_log_det(remade, event_ndims)
    expected, expected_fldj = bijector.forward_and_log_det(plainly, event_ndims)
    out = bijector.inverse_min_event_ndims
    for a, b in zip(flatten(out, y), flatten(out, expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(fldj, expected_fldj, rtol=1e-13, atol=1e-14)
    bijector.inverse_and_log_det(y, bijector.forward_event_ndims(event_ndims))
    for part, before in zip(parts, plain, strict=True):
        assert np.array_equal(part, before)


def _like(template, leaves):
    remaining = iter(leaves)
    return rg.structure.map_structure(template, lambda _: next(remaining), template)


def test_results_can_be_written_to_without_changing_parameters():
    bijector = rgb.Chain([rgb.Scale(log_scale=rg.Variable(np.ones(3))), rgb.Shift(np.ones(3))])
    fldj = bijector.forward_log_det_jacobian(np.ones(3))
    y = bijector.forward(np.ones(3))
    y += 1
    fldj += 1
    assert np.array_equal(bijector.variables[0], np.ones(3))


# ---- number types of a whole model --------------------------------------------------------------

@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.complex64,
                                   np.complex128, object])
@pytest.mark.parametrize("network", [small_network, additive_network])
def test_a_glow_in_every_number_type(dtype, network):
    bijector = glow(dtype, coupling_bijector_fn=network)
    assert bijector.dtype == dtype
    assert {v.dtype for v in bijector.trainable_variables} == {np.dtype(dtype)}
    x = X.astype(dtype)
    z, ildj = bijector.inverse_and_log_det(x)
    back, fldj = bijector.forward_and_log_det(z)
    assert z.dtype == ildj.dtype == back.dtype == fldj.dtype == dtype
    half = dtype == np.float16
    np.testing.assert_allclose(back.astype(np.complex128), x.astype(np.complex128),
                               atol=0.1 if half else 1e-4)
    np.testing.assert_allclose(fldj.astype(np.complex128), -ildj.astype(np.complex128),
                               rtol=0.01 if half else 1e-4)


def test_a_float64_glow_has_float64_default_networks():
    bijector = glow(np.float64, coupling_bijector_fn=rgb.GlowDefaultNetwork, output_shape=(2, 2, 1),
                    num_glow_blocks=1)
    assert {v.dtype for v in bijector.trainable_variables} == {np.dtype(np.float64)}
    x = np.random.default_rng(0).random((2, 2, 2, 1))
    np.testing.assert_allclose(bijector.forward(bijector.inverse(x)), x, rtol=1e-10)


def test_a_network_of_another_type_is_named():
    with pytest.raises(TypeError, match=r"step 0.*'conv1.kernel' is float32.*computes in float64"):
        glow(np.float64, coupling_bijector_fn=lambda s: small_network(s))
    with pytest.raises(TypeError, match=r"exit_bijector.*'conv1.kernel' is float64"):
        glow(exit_bijector_fn=lambda s, output_chan: rgb.GlowDefaultExitNetwork(
            s, output_chan, dtype=np.float64))

    def doubles(x):
        return np.asarray(x, np.float64)
    bijector = rgb.Glow((2, 2, 1), 1, 1, lambda s: doubles, use_actnorm=False)
    with pytest.raises(TypeError, match=r"step 0 computes in float32, but doubles\(x\) is float64"):
        bijector.inverse(np.ones((2, 2, 1), np.float32))


def test_complex_and_object_numbers_pass_through_a_real_glow():
    bijector = glow(np.float64)
    x = X.astype(np.float64)
    step = 1e-30
    direction = np.random.default_rng(0).standard_normal(x.shape)
    z = bijector.inverse(x + 1j * step * direction)
    assert z.dtype == np.complex128
    np.testing.assert_allclose(z.real, bijector.inverse(x), rtol=1e-12)
    slope = (bijector.inverse(x + 1e-6 * direction) - bijector.inverse(x - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(z.imag / step, slope, rtol=1e-5, atol=1e-5)
    objects = bijector.inverse(x[:1].astype(object))
    assert objects.dtype == object
    np.testing.assert_allclose(objects.astype(float), bijector.inverse(x[:1]), rtol=1e-10)


@pytest.mark.parametrize("dtype", [int, np.uint8, bool, "U5", "datetime64[s]"])
def test_a_model_cannot_compute_in_other_types(dtype):
    with pytest.raises(TypeError, match="dtype must be floating, complex or object"):
        glow(dtype)


# ---- empty batches ------------------------------------------------------------------------------

@pytest.mark.parametrize("batch", [(0,), (2, 0), (0, 3)])
def test_empty_batches_give_empty_results(batch):
    bijector = glow()
    z, ildj = bijector.inverse_and_log_det(np.zeros((*batch, 4, 4, 2), np.float32))
    assert z.shape == (*batch, 32) and ildj.shape == batch
    x, fldj = bijector.forward_and_log_det(z)
    assert x.shape == (*batch, 4, 4, 2) and fldj.shape == batch
    assert all(part.shape[:len(batch)] == batch for part in bijector.split_latents(z))


def test_a_log_det_over_an_empty_event_is_zero():
    assert rgb.Exp().forward_log_det_jacobian(np.ones((2, 0)), 1).tolist() == [0, 0]
    assert rgb.Scale(3.0).forward_log_det_jacobian(np.ones((2, 0)), 1).tolist() == [0, 0]
