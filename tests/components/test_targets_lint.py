from components.targets.graph import Graph, Operator, Quantisation, Tensor
from components.targets.lint import Verdict, lint
from components.targets.profile import load_profile

INT8 = Quantisation(scales=(0.1,), zero_points=(0,), axis=0)


def tensor(
    shape: tuple[int, ...] = (1, 8, 8, 4),
    dtype: str = "int8",
    signature: tuple[int, ...] | None = None,
) -> Tensor:
    return Tensor(
        name="t",
        dtype=dtype,
        shape=shape,
        signature=shape if signature is None else signature,
        quantisation=INT8 if dtype == "int8" else None,
        constant=False,
    )


def chain(*operators: tuple[str, int], between: Tensor | None = None) -> Graph:
    """Operators one after the other, every tensor like `between`."""
    each = between or tensor()
    return Graph(
        operators=tuple(
            Operator(name=name, version=version, inputs=(i,), outputs=(i + 1,), macs=0)
            for i, (name, version) in enumerate(operators)
        ),
        tensors=(each,) * (len(operators) + 1),
        inputs=(0,),
        outputs=(len(operators),),
        size_bytes=1000,
    )


def statuses(verdict: Verdict) -> dict[str, str]:
    return {op["name"]: op["status"] for op in verdict["ops"]}


def errors(verdict: Verdict) -> list[str]:
    return [f["what"] for f in verdict["findings"] if f["severity"] == "error"]


def test_supported_operators_are_counted_by_version() -> None:
    verdict = lint(chain(("RELU", 2), ("RELU", 2), ("RELU", 1)), load_profile("tflm"))
    assert verdict == {
        "target": "tflm",
        "ok": True,
        "ops": [
            {"name": "RELU", "version": 1, "count": 1, "status": "supported"},
            {"name": "RELU", "version": 2, "count": 2, "status": "supported"},
        ],
        "findings": [],
    }


def test_gelu_is_refused_on_tflm_and_says_what_to_use() -> None:
    verdict = lint(chain(("GELU", 1)), load_profile("tflm"))
    assert not verdict["ok"]
    assert "RELU" in verdict["findings"][0]["advice"]


def test_per_channel_dense_is_too_new_for_tflite_runtime_but_not_for_litert() -> None:
    graph = chain(("FULLY_CONNECTED", 12))
    old = lint(graph, load_profile("tflite-runtime-2.14"))
    assert statuses(old) == {"FULLY_CONNECTED": "operator version not supported"}
    assert "version 12" in errors(old)[0]
    assert lint(graph, load_profile("litert"))["ok"]


def test_a_kernel_that_is_registered_but_takes_float_alone_is_refused() -> None:
    tflm = load_profile("tflm")
    assert not lint(chain(("SQRT", 1)), tflm)["ok"]
    assert lint(chain(("SQRT", 1), between=tensor(dtype="float32")), tflm)["ok"]


def test_what_follows_a_refused_operator_leaves_the_edge_tpu() -> None:
    graph = chain(("CONV_2D", 3), ("HARD_SWISH", 1), ("ADD", 2))
    verdict = lint(graph, load_profile("edgetpu"))
    assert statuses(verdict) == {
        "CONV_2D": "Mapped to Edge TPU",
        "HARD_SWISH": "Operation not supported",
        "ADD": "More than one subgraph is not supported",
    }
    assert not verdict["ok"]


def test_the_edge_tpu_refuses_grouped_convolution_wide_ranks_and_floats() -> None:
    edgetpu = load_profile("edgetpu")
    grouped = lint(chain(("CONV_2D", 6)), edgetpu)
    assert statuses(grouped) == {"CONV_2D": "Operation version not supported"}
    assert "SPLIT" in grouped["findings"][0]["advice"]
    shuffled = lint(chain(("RESHAPE", 1), between=tensor((1, 8, 8, 2, 2))), edgetpu)
    assert statuses(shuffled) == {"RESHAPE": "Tensor has unsupported rank"}
    floating = lint(chain(("RELU", 1), between=tensor(dtype="float32")), edgetpu)
    assert statuses(floating) == {"RELU": "Operation is working on an unsupported data type"}


def test_an_edge_tpu_verdict_calls_itself_a_prediction() -> None:
    verdict = lint(chain(("RELU", 1)), load_profile("edgetpu"))
    assert verdict["ok"]
    assert any("predicted" in finding["what"] for finding in verdict["findings"])


def test_what_the_npu_leaves_runs_on_the_processor_beside_it_if_that_can() -> None:
    ethos = load_profile("ethos-u55-128")
    verdict = lint(chain(("CONV_2D", 3), ("DIV", 1)), ethos)
    assert verdict["ok"]
    assert statuses(verdict) == {"CONV_2D": "NPU", "DIV": "CPU (TFLM)"}
    assert not lint(chain(("WHERE", 1)), ethos)["ok"]


def test_a_dynamic_batch_of_one_is_a_warning_and_any_other_dynamic_shape_an_error() -> None:
    tflm = load_profile("tflm")
    batch = lint(chain(("RELU", 1), between=tensor(signature=(-1, 8, 8, 4))), tflm)
    assert batch["ok"]
    assert [f["severity"] for f in batch["findings"]] == ["warning"]
    time = lint(chain(("RELU", 1), between=tensor(signature=(1, -1, 8, 4))), tflm)
    assert not time["ok"]


def test_float_tensors_are_a_warning_where_the_runtime_has_float_kernels() -> None:
    graph = chain(("RELU", 1), between=tensor(dtype="float32"))
    verdict = lint(graph, load_profile("litert"))
    assert verdict["ok"]
    assert "2 floating-point tensors" in verdict["findings"][0]["what"]


def test_a_custom_operator_is_refused_everywhere() -> None:
    for target in ("tflm", "litert", "tflite-runtime-2.14", "edgetpu", "ethos-u55-128"):
        assert not lint(chain(("CUSTOM:Mine", 1)), load_profile(target))["ok"]
