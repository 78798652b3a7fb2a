"""The streaming form: layer by layer and whole, step for step what the whole-window model gives."""

import numpy as np
import pytest

from components.base import UserError
from components.converter.streaming import streaming_form
from components.converter.unpacked import Unpacked
from components.targets.flatbuffer import parse_graph
from components.targets.schema import schema
from edge_agent.features.audio import AudioFeatures, clip_codes
from edge_agent.runtime import RuntimeModelError
from edge_agent.sources.wav import read_wav
from edge_agent.streaming import StreamingModel
from tests.fixtures.apart import with_tensorflow
from tests.fixtures.bundles import LABELS
from tests.fixtures.models import tone_model

pytestmark = pytest.mark.slow

FRAMES, CHANNELS = 25, 10
# Name of each net, the frames of a step, and the frames that an output depends on.
LAYERS = {
    "convolution": (1, 25),
    "stride": (2, 25),
    "wide_stride": (4, 25),
    "dilation": (1, 25),
    "depthwise": (2, 25),
    "pointwise": (1, 25),
    "crop": (1, 25),
    "max_pool": (2, 24),
    "closing_convolution": (1, 25),
    "two_strides": (4, 23),
}


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    write_nets(folder)
    return folder


@with_tensorflow
def write_nets(folder):
    import tf_keras as keras

    from components.converter.convert import to_int8
    from components.models import registry

    layers = keras.layers

    def conv(x, **options):
        return layers.Conv2D(6, 3, **{"activation": "relu", **options})(x)

    def crop(x):
        y = conv(conv(x), activation=None)
        x = layers.Conv2D(6, 1)(x)
        return layers.ReLU()(layers.Add()([layers.Cropping2D(2)(x), y]))

    nets = {
        "convolution": conv,
        "stride": lambda x: conv(x, strides=(2, 1)),
        "wide_stride": lambda x: layers.Conv2D(6, (5, 3), strides=(4, 2))(x),
        "dilation": lambda x: conv(x, dilation_rate=(3, 1)),
        "depthwise": lambda x: layers.DepthwiseConv2D((5, 3), strides=2)(layers.Conv2D(6, 1)(x)),
        "pointwise": lambda x: layers.Conv2D(6, 1, activation="relu")(x),
        "crop": lambda x: crop(crop(x)),
        "max_pool": lambda x: conv(layers.MaxPooling2D((2, 1))(x)),
        "closing_convolution": lambda x: layers.Conv2D(6, (23, 8))(conv(x)),
        "two_strides": lambda x: conv(conv(x, strides=(2, 1)), strides=(2, 1)),
        "same": lambda x: conv(x, padding="same"),
    }
    random = np.random.default_rng(0)
    codes = random.integers(-128, 128, (16, FRAMES, CHANNELS)).astype(np.int8)
    for name, net in nets.items():
        keras.utils.set_random_seed(1)
        entry = layers.Input((FRAMES, CHANNELS, 1))
        x = net(entry)
        x = layers.AveragePooling2D((x.shape[1], x.shape[2]))(x)
        exit_ = layers.Dense(4, activation="softmax", kernel_initializer="random_normal")
        model = keras.Model(entry, exit_(layers.Flatten()(x)))
        exit_.kernel.assign(40.0 * exit_.kernel)
        (folder / f"{name}.tflite").write_bytes(to_int8(model, codes))
    keras.utils.set_random_seed(1)
    student = registry.build("streaming_resnet", 49, 40, 5, (8, 16))
    student.layers[-1].kernel.assign(8.0 * student.layers[-1].kernel)
    rows = random.integers(-128, 128, (16, 49, 40)).astype(np.int8)
    (folder / "student.tflite").write_bytes(to_int8(student, rows))


def reference(model):
    """An interpreter of TFLite's reference kernels."""
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    return interpreter


def streamed(form, codes):
    """What each step gives, and the number of frames that it has seen."""
    model = StreamingModel(reference(form.model), "tflite_runtime", "0", form.state, form.window)
    for end in range(form.frames, len(codes) + 1, form.frames):
        yield end, model.step(codes[end - form.frames : end])


def whole(model, frames, codes, ends):
    """What the whole-window model gives for the window of `frames` that ends at each of `ends`."""
    interpreter = reference(model)
    entry, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for end in ends:
        window = np.zeros((entry["shape"][1], codes.shape[1]), np.int8)
        window[:frames] = codes[end - frames : end]  # frames beyond are ones that it does not see
        interpreter.set_tensor(entry["index"], window[None, :, :, None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(exit_["index"])[0])
    return np.stack(outputs)


def differences(model, form, codes):
    """The largest difference in LSB over all steps that have seen a whole window; their outputs."""
    steps = [(end, out) for end, out in streamed(form, codes) if end >= form.window]
    assert len(steps) > 10
    found = np.stack([out for _, out in steps])
    wanted = whole(model, form.window, codes, [end for end, _ in steps])
    return int(np.abs(found.astype(int) - wanted).max()), found


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_gives_in_steps_what_it_gives_at_once(nets, name, times):
    frames, window = LAYERS[name]
    model = (nets / f"{name}.tflite").read_bytes()
    form = streaming_form(model, frames * times)
    assert (form.frames, form.window) == (frames * times, window)
    codes = np.random.default_rng(5).integers(-128, 128, (150, CHANNELS)).astype(np.int8)
    off, found = differences(model, form, codes)
    assert off == 0
    assert found.std(axis=0).max() > 1, "the outputs say something"


def test_the_student_streams_exactly_on_recordings_at_a_fraction_of_the_work(nets, speech_commands):
    model = (nets / "student.tflite").read_bytes()
    form = streaming_form(model, 2)
    assert form.window == 49
    assert parse_graph(form.model).macs < parse_graph(model).macs / 10
    assert not parse_graph(form.model).float_tensors
    pcm = []
    for path in sorted(speech_commands.glob("[a-z]*/*.wav"))[::400]:
        samples, _ = read_wav(path)
        pcm.append(np.clip(samples[:, 0] * 32768, -32768, 32767).astype(np.int16))
    codes = clip_codes(np.concatenate(pcm), AudioFeatures())
    off, found = differences(model, form, codes)
    assert off == 0
    assert len({tuple(row) for row in found}) > 20


def test_equal_models_give_equal_bytes(nets):
    model = (nets / "crop.tflite").read_bytes()
    assert streaming_form(model, 1) == streaming_form(model, 1)


@pytest.mark.parametrize(
    ("name", "frames", "words"),
    [
        ("same", 1, "is padded in time"),
        ("stride", 1, "multiple of all strides in time"),
        ("two_strides", 2, "multiple of all strides in time"),
        ("convolution", 30, "use shorter steps"),
    ],
)
def test_what_has_no_streaming_form_says_why(nets, name, frames, words):
    with pytest.raises(UserError, match=words):
        streaming_form((nets / f"{name}.tflite").read_bytes(), frames)


def test_what_would_hand_on_finer_values_than_a_device_carries_says_so():
    wide = Unpacked(tone_model(LABELS, AudioFeatures(), 49))
    for tensor in wide.graph.tensors:
        if tensor.type == schema().TensorType.INT8:
            tensor.type = schema().TensorType.INT16
    with pytest.raises(UserError, match=r"no streaming form with Converter\.activations=int16"):
        streaming_form(wide.packed(), 3)


def test_state_that_is_not_as_said_is_refused():
    form = streaming_form(tone_model(LABELS, AudioFeatures(), 49), 3)
    interpreter = reference(form.model)
    for state in ((), (("state_0", "other"),), (*form.state, *form.state)):
        with pytest.raises(RuntimeModelError, match="its state tensors are"):
            StreamingModel(interpreter, "tflite_runtime", "0", state, form.window)
    with pytest.raises(RuntimeModelError, match="a window 2 frames"):
        StreamingModel(interpreter, "tflite_runtime", "0", form.state, 2)
