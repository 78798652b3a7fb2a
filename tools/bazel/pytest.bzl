"""One Bazel target for one pytest file."""

def pytest_test(name, deps, data = [], tags = []):
    """Runs `<name>.py` of this package through pytest.

    Slow tests in a file that is not slow as a whole are left to `make test`.

    Args:
      name: the file's name without .py.
      deps: what the file imports.
      data: files that it reads.
      tags: Bazel's; "slow" runs the slow tests, "manual" those for soak and fuzz, "external" runs
        in the checkout and never takes a result from the cache.
    """
    left_out = "not soak and not fuzz"
    if "manual" in tags:
        left_out = "soak or fuzz"
    elif "slow" not in tags:
        left_out = "not slow and " + left_out
    native.py_test(
        name = name,
        srcs = [
            name + ".py",
            "//tools/bazel:pytest_main.py",
        ],
        main = "//tools/bazel:pytest_main.py",
        args = (["--in-checkout"] if "external" in tags else []) + [
            native.package_name() + "/" + name + ".py",
            "-m",
            "'%s'" % left_out,
        ],
        data = data + [
            "//:pyproject.toml",
            "//:requirements.txt",
        ],
        timeout = "long" if "slow" in tags else "moderate",
        tags = tags,
        deps = deps,
    )
