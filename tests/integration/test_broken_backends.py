"""One thing wrong with an adapter a row, and what the real command says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.broken_engine import FILE, LAST, line_of, run, write

Change = tuple[str, str]
# What is wrong at import: the change, and the sentence, with {line} for that of BACKEND.
IMPORTS: dict[str, tuple[Change, str]] = {
    "no Python": ((LAST, "BACKEND = = 1"), f"{FILE}:{{line}}: it is not Python: invalid syntax"),
    "raises": (
        (LAST, "raise ValueError('no card')  # BACKEND"),
        f"{FILE}:{{line}}: importing it raised ValueError: no card",
    ),
    "library missing": (
        (LAST, "import lib_of_nobody  # BACKEND"),
        f"{FILE}:{{line}}: importing it raised ModuleNotFoundError: No module named "
        "'lib_of_nobody'",
    ),
    "exits": (
        (LAST, "raise SystemExit(0)  # BACKEND"),
        f"{FILE}:{{line}}: importing it raised SystemExit: 0",
    ),
    "prints": (
        (LAST, f"{LAST}\nprint('welcome')"),
        f"{FILE}: it printed 'welcome' to stdout while it was imported, and was expected to print "
        "nothing",
    ),
    "prints below Python": (
        (LAST, f"{LAST}\nimport os; os.write(1, b'welcome')"),
        f"{FILE}: it printed 'welcome' to stdout while it was imported",
    ),
    "is killed": (
        (LAST, "import os; os.kill(os.getpid(), 9)  # BACKEND"),
        f"{FILE}: while it was imported, its process was killed by SIGKILL",
    ),
    "hangs": (
        (LAST, "import time; time.sleep(60)  # BACKEND"),
        f"{FILE}: while it was imported, it was stopped after 2 s",
    ),
    "no BACKEND": (
        (LAST, "engine = MylibBackend()  # BACKEND"),
        f"{FILE}: it has no BACKEND, though its engine is one; expected an instance of a class of "
        "its own that extends harness.backends.base.Backend",
    ),
    "a class": (
        (LAST, "BACKEND = MylibBackend"),
        f"{FILE}: BACKEND is the class MylibBackend, expected an instance",
    ),
    "a module": (
        (LAST, "BACKEND = np"),
        f"{FILE}: BACKEND is a module, expected an instance of a class that extends "
        "harness.backends.base.Backend",
    ),
    "functions lacking": (
        ("    def leaf(self, array)", "    def leaves(self, array)"),
        f"{FILE}:{{line}}: the backend lacks leaf, which is asked of every engine",
    ),
    "no name": (
        ('    name = "mylib"', '    title = "mylib"'),
        f"{FILE}: the backend has no name, which is asked of every engine",
    ),
    "no version": (
        ('    version = "0.1"', "    version = None"),
        f"{FILE}: the backend's version is None, expected a text",
    ),
    "a name of several words": (
        ('    name = "mylib"', '    name = "my lib"'),
        f"{FILE}: its name is 'my lib', expected one word",
    ),
    "the name of another": (
        ('    name = "mylib"', '    name = "numpy"'),
        f"{FILE}: its name is 'numpy', which is an engine that comes with the harness",
    ),
    "no namespace": (
        ("    namespace = Namespace(", "    namespace = dict("),
        f"{FILE}: the backend's namespace is a dict, expected a harness.backends.base.Namespace",
    ),
    "a list of layers": (
        ('layers={"Linear": Linear}', "layers=[Linear]"),
        f"{FILE}: namespace.layers is a list, expected a dict",
    ),
    "no factory": (
        ('layers={"Linear": Linear}', 'layers={"Linear": "Linear"}'),
        f"{FILE}: namespace.layers['Linear'] is a str, expected a function or a class",
    ),
}


@pytest.mark.parametrize("what", IMPORTS)
def test_what_is_wrong_at_import_is_a_sentence_and_exit_2(what: str, tmp_path: Path) -> None:
    change, sentence = IMPORTS[what]
    file = write(tmp_path, change)
    done = run(tmp_path, "perceptron", "--timeout", "2")

    text = file.read_text("utf-8")
    line = line_of(file, "BACKEND") if text.count("BACKEND") == 1 else line_of(file, LAST)
    assert done.stderr.startswith(f"error: {sentence.format(line=line)}")
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (2, "")
    assert not (tmp_path / "runs").exists()


# What is wrong with a function: the change, and what the check says of the engine.
FUNCTIONS: dict[str, tuple[Change, str]] = {
    "array gives a list": (
        ("        return tensor.value\n", "        return tensor.value.tolist()\n"),
        "array(): array() of tensor() of a float32 array of shape (2, 3) is a list, expected a "
        "numpy array",
    ),
    "array flattens": (
        ("        return tensor.value\n", "        return tensor.value.reshape(-1)\n"),
        "tensor(): array() of tensor() of a float32 array of shape (2, 3) has shape (6,), expected "
        "(2, 3)",
    ),
    "tensor widens": (
        ("        return Tensor(array.copy())\n", "        return Tensor(array.astype(float))\n"),
        "tensor(): array() of tensor() of a float32 array of shape (2, 3) is of float64, expected "
        "float32",
    ),
    "tensor changes its input": (
        ("        return Tensor(array.copy())\n",
         "        array *= 2\n        return Tensor(np.asarray(array / 2, array.dtype))\n"),
        "tensor(): changed the float32 array that it was given, expected it to be left alone",
    ),
    "leaf loses numbers": (
        ("        return Tensor(array.copy(), wants_gradient=True)\n",
         "        return Tensor(0 * array, wants_gradient=True)\n"),
        "leaf(): array() of leaf() of a float32 array of shape (2, 3) holds other numbers, "
        "expected those that went in",
    ),
    "gradient makes one up": (
        ("        return tensor.gradient\n",
         "        return tensor.value * 0 if tensor.gradient is None else tensor.gradient\n"),
        "gradient(): of a leaf before any backward pass is a ndarray, expected None",
    ),
    "gradient is an engine's own": (
        ("        return tensor.gradient\n",
         "        return None if tensor.gradient is None else Tensor(tensor.gradient)\n"),
        "gradient(): gradient() after set_gradient() is a Tensor, expected a numpy array",
    ),
    "gradient widens": (
        ("        return tensor.gradient\n",
         "        return None if tensor.gradient is None else tensor.gradient.astype(float)\n"),
        "gradient(): gradient() after set_gradient() is of float64, expected float32",
    ),
    "gradient transposes": (
        ("        return tensor.gradient\n",
         "        return None if tensor.gradient is None else tensor.gradient.T\n"),
        "gradient(): gradient() after set_gradient() has shape (3, 2), expected (2, 3)",
    ),
    "gradient is never there": (
        ("        return tensor.gradient\n", "        return None\n"),
        "gradient(): gradient() after set_gradient() is None, expected a numpy array",
    ),
    "set_gradient transposes": (
        ("None if array is None else array.copy()", "None if array is None else array.T.copy()"),
        "set_gradient(): gradient() after set_gradient() has shape (3, 2), expected (2, 3)",
    ),
    "tensor is narrow inside": (
        ("        return Tensor(array.copy())\n",
         "        narrow = np.float16 if array.dtype.kind == 'f' else array.dtype\n"
         "        return Tensor(array.astype(narrow).astype(array.dtype))\n"),
        "tensor(): array() of tensor() of a float32 array of shape (2, 3) holds other numbers",
    ),
    "array raises": (
        ("        return tensor.value\n", "        raise ValueError('no array')\n"),
        "array(): raised: ValueError: no array (mylib_backend.py:",
    ),
    "Linear takes other arguments": (
        ("    def __init__(self, in_features, out_features, rng=None):\n",
         "    def __init__(self, nin, nout, rng=None):\n"
         "        in_features, out_features = nin, nout\n"),
        "Linear: built by in_features=3, out_features=2: raised: TypeError: ",
    ),
    "SGD takes other arguments": (
        ("    def __init__(self, parameters, lr):\n        self.parameters, self.lr",
         "    def __init__(self, parameters, rate):\n        lr = rate\n"
         "        self.parameters, self.lr"),
        "SGD: built by parameters, lr=0.1: raised: TypeError: ",
    ),
    "parameters gives copies": (
        ("        return {name: tensor for name, tensor in found.items() if tensor is not None}\n",
         "        return {name: Tensor(t.value.copy(), True) for name, t in found.items()}\n"),
        "Linear: parameters() gives copies: they do not hold what set_value() gave them",
    ),
    "set_lr comes late": (
        ("        optimizer.lr = lr\n",
         "        optimizer.lr, optimizer.next = getattr(optimizer, 'next', optimizer.lr), lr\n"),
        "SGD: with lr=0.1 and a gradient of 1 it moved by 0.1 in the step after "
        "set_lr(0.025), expected 0.025",
    ),
    "set_lr does nothing": (
        ("        optimizer.lr = lr\n", "        pass\n"),
        "SGD: with lr=0.1 and a gradient of 1 it moved by 0.1 in the step after",
    ),
    "set_value does nothing": (
        ("        parameter.value = array.copy()\n", "        pass\n"),
        "set_value(): array() after set_value() with a float32 array holds other numbers",
    ),
    "set_value keeps the dtype": (
        ("        parameter.value = array.copy()\n",
         "        parameter.value = array.astype(parameter.value.dtype)\n"),
        "set_value(): array() after set_value() with a float64 array is of float32, expected "
        "float64",
    ),
    "set_gradient cannot forget": (
        ("None if array is None else array.copy()",
         "parameter.gradient if array is None else array.copy()"),
        "set_gradient(): gradient() after set_gradient(None) is a ndarray, expected None",
    ),
    "backward loses a gradient": (
        ("g @ weight.value, g_rows.T @ rows, g_rows.sum(axis=0)",
         "g @ weight.value, g_rows.T @ rows, g_rows.sum(axis=0, keepdims=True)"),
        "Linear: gradient() of bias after backward() is float32 (1, 2), expected float32 (2,)",
    ),
    "backward changes its gradient": (
        ("            g_rows = g.reshape(-1, g.shape[-1])\n",
         "            g *= 2\n            g_rows = g.reshape(-1, g.shape[-1])\n"),
        "Linear: backward() changed the gradient that it was given, which is to be left alone",
    ),
    "parameters gives a list": (
        ("        return {name: tensor for name, tensor in found.items() if tensor is not None}\n",
         "        return list(found.values())\n"),
        "parameters(): of a Linear is a list, expected a dict of tensors by name",
    ),
    "parameters under other names": (
        ('found = {"weight": getattr', 'found = {"w": getattr'),
        "parameters(): of a Linear has the names ['w', 'bias'], expected weight and perhaps bias",
    ),
    "set_lr raises": (
        ("        optimizer.lr = lr\n", "        optimizer.rates[0] = lr\n"),
        "set_lr(): raised: AttributeError: 'SGD' object has no attribute 'rates' "
        f"({FILE}:{{line}})",
    ),
    "array prints": (
        ("        return tensor.value\n", "        print('look')\n        return tensor.value\n"),
        "tensor() or array(): printed 'look' to stdout, expected nothing to be printed",
    ),
    "tensor draws": (
        ("        return Tensor(array.copy())\n",
         "        np.random.rand()\n        return Tensor(array.copy())\n"),
        "tensor() or array(): drew from numpy's global random state, expected it to be left alone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FUNCTIONS)
def test_what_is_wrong_with_a_function_is_a_failed_check(what: str, tmp_path: Path) -> None:
    change, sentence = FUNCTIONS[what]
    file = write(tmp_path, change)
    done = run(tmp_path, "perceptron", "--format", "json")

    card = json.loads(done.stdout)
    found = {each["check"]: each for each in card["engine"]["verdicts"]}
    contract = found["backend_keeps_its_contract"]
    line = line_of(file, "optimizer.rates[0]") if "{line}" in sentence else 0
    assert contract["reason"].startswith(sentence.format(line=line))
    assert contract["status"] == "fail"
    assert card["engine"]["verdicts"][0] == contract
    assert (card["status"], done.returncode) == ("fail", 1)


def test_what_an_engine_prints_does_not_get_into_the_results(tmp_path: Path) -> None:
    loud = "        print('forward')\n        weight, bias = self.weight, self.bias\n"
    write(tmp_path, ("        weight, bias = self.weight, self.bias\n", loud))
    done = run(tmp_path, "perceptron", "--format", "json")

    assert json.loads(done.stdout)["results"][0]["status"] == "pass"
    assert "forward" in done.stderr


def test_an_engine_that_dies_in_a_layer_is_no_verdict(tmp_path: Path) -> None:
    dying = "        import os; os.abort()\n"
    write(tmp_path, ("        weight, bias = self.weight, self.bias\n", dying))
    done = run(tmp_path, "perceptron")

    assert "its process was killed by SIGABRT" in done.stdout
    assert done.returncode == 3


def test_a_right_config_is_not_blamed_for_the_engine(tmp_path: Path) -> None:
    wrong = "        raise ValueError('not today')\n"
    write(tmp_path, ("        weight, bias = self.weight, self.bias\n", wrong))
    done = run(tmp_path, "perceptron")

    assert done.returncode == 1, done.stderr
    said = " ".join(done.stdout.split())
    assert "FAIL engine: backward(): raised: ValueError: not today (mylib_backend.py:" in said
    assert "therefore perceptron, seed 0: runs: the engine mylib does not take it: " in said
    assert "Linear does not fit its input (N, 2): not today" in said


def test_what_is_not_implemented_is_not_supported(tmp_path: Path) -> None:
    start = "    def __init__(self, in_features, out_features, rng=None):\n"
    refusal = "        raise NotImplementedError('no layer of one output')\n"
    write(tmp_path, (start, start + f"        if out_features == 1:\n    {refusal}"))
    done = run(tmp_path, "perceptron", "--format", "json")

    (result,) = json.loads(done.stdout)["results"]
    assert result["status"] == "unsupported"
    assert result["lacks"] == ["Linear as output has it (no layer of one output)"]
    assert done.returncode == 1


def test_a_misspelt_layer_is_a_mistake_whatever_the_engine_has(tmp_path: Path) -> None:
    write(tmp_path)
    done = run(tmp_path, "xor", "--set", "layers.tanh.type=Tahn")

    assert done.returncode == 2
    assert "unknown layer 'Tahn'. Did you mean 'Tanh'? Known: " in done.stderr


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
