"""Make tests/neurosynchro: trained-looking neurosynchro directories whose .h5 files Keras itself
wrote.

Needs an environment of its own, since neither Keras is a dependency:

    pip install keras tensorflow-cpu tf_keras h5py
    python tests/make_keras_models.py tf_keras tests/neurosynchro/keras2
    export KERAS_BACKEND=jax JAX_ENABLE_X64=1
    python tests/make_keras_models.py keras tests/neurosynchro/keras3

Each holds nn_config.toml, nine .h5 files as ``model.save`` of a subclass of Sequential writes them,
and expected.txt: inputs, what Keras predicts for them, and the eight coefficients by the formulas
of neurosynchro 0.1.4, in its order and signs.
"""

import importlib
import pathlib
import sys

import numpy as np

PARAMS = {  # maptype, x_mean, x_std, phys_min, phys_max, out_of_sample
    "s": ("log", 3.1, 1.2, 10.0, 1e6, "clip"),
    "theta": ("direct", 0.8, 0.4, 0.0, 1.5707963267948966, "clip"),
    "p": ("direct", 2.8, 0.7, 1.5, 4.5, "ignore"),
}
RESULTS = {  # maptype, x_mean, x_std, units, activation, output
    "j_I": ("log", -31.0, 2.5, (30,), "relu", "linear"),
    "alpha_I": ("log", -11.0, 4.0, (30,), "relu", "linear"),
    "rho_Q": ("abs_log", -9.0, 2.0, (12, 6), "relu", "linear"),
    "rho_V": ("log", -6.0, 1.5, (30,), "relu", "linear"),
    "j_frac_pol": ("logit", 0.9, 0.3, (30,), "relu", "linear"),
    "alpha_frac_pol": ("logit", 1.0, 0.3, (30,), "relu", "linear"),
    "j_V_share": ("logit", -2.5, 1.1, (30,), "relu", "linear"),
    "alpha_V_share": ("logit", -2.4, 1.1, (30,), "relu", "linear"),
    "rho_Q_sign": ("direct", -1.0, 2.0, (12, 6), "relu", "sigmoid"),
}
FORWARD = {"log": np.log10, "direct": lambda p: p}
BACK = {
    "log": lambda x: 10.0**x,
    "abs_log": lambda x: 10.0**x,
    "direct": lambda x: x,
    "logit": lambda x: np.exp(x) / (np.exp(x) + 1.0),
}


def config():
    lines = []
    for name, (maptype, mean, deviation, low, high, policy) in PARAMS.items():
        bounds = "theta" if name == "theta" else "empirical"
        lines += [
            "[[params]]",
            f'name = "{name}"',
            f'maptype = "{maptype}"',
            f'phys_bounds_mode = "{bounds}"',
        ]
        lines += ['normalization_mode = "gaussian"', f'out_of_sample = "{policy}"']
        lines += [
            f"x_mean = {mean!r}",
            f"x_std = {deviation!r}",
            f"phys_min = {low!r}",
            f"phys_max = {high!r}",
        ]
        lines += ["norm_min = -2.0", "norm_max = 2.0", ""]
    for name, (maptype, mean, deviation, _, _, output) in RESULTS.items():
        mode, trainer = (
            ("unit_interval", "binary") if output == "sigmoid" else ("gaussian", "generic")
        )
        lines += [
            "[[results]]",
            f'name = "{name}"',
            f'maptype = "{maptype}"',
            'phys_bounds_mode = "empirical"',
        ]
        lines += [
            f'normalization_mode = "{mode}"',
            f'trainer = "{trainer}"',
            'out_of_sample = "ignore"',
        ]
        lines += [
            f"x_mean = {mean!r}",
            f"x_std = {deviation!r}",
            "phys_min = 1e-40",
            "phys_max = 1.0",
        ]
        lines += ["norm_min = -4.0", "norm_max = 4.0", ""]
    return "\n".join(lines)


def set_precision(keras, name):
    keras.backend.set_floatx(name)
    if hasattr(keras, "config"):  # Keras 3
        keras.config.set_dtype_policy(name)


def main(package, directory):
    keras = importlib.import_module(package)
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "nn_config.toml").write_text(config())

    class NSModel(keras.models.Sequential):
        pass

    rng = np.random.default_rng(5)
    n = 64
    nu, n_e = 10.0 ** rng.uniform(9, 12, n), 10.0 ** rng.uniform(0, 6, n)
    s, theta, p = (
        10.0 ** rng.uniform(0.5, 6.5, n),
        rng.uniform(0.0, np.pi, n),
        rng.uniform(1.5, 4.5, n),
    )
    flip = theta > 0.5 * np.pi
    inputs = {"s": s, "theta": np.where(flip, np.pi - theta, theta), "p": p}
    norm = []
    for name, (maptype, mean, deviation, low, high, policy) in PARAMS.items():
        value = np.clip(inputs[name], low, high) if policy == "clip" else inputs[name]
        norm.append((FORWARD[maptype](value) - mean) / deviation)
    norm = np.stack(norm, -1)
    out, raw = {}, {}
    for name, (maptype, mean, deviation, units, activation, output) in RESULTS.items():

        def build(units=units, activation=activation, output=output):
            model = NSModel()
            model.add(keras.Input(shape=(len(PARAMS),)))
            for width in units:
                model.add(
                    keras.layers.Dense(
                        units=width, activation=activation, kernel_initializer="normal"
                    )
                )
            model.add(keras.layers.Dense(units=1, activation=output, kernel_initializer="normal"))
            return model

        set_precision(keras, "float32")
        model = build()
        model.set_weights([rng.normal(0.0, 0.5, w.shape) for w in model.get_weights()])
        model.compile("adam", "mse")
        model.save(str(directory / f"{name}.h5"))
        set_precision(keras, "float64")  # the same weights without the rounding of the arithmetic
        twin = build()
        twin.set_weights([np.asarray(w, float) for w in model.get_weights()])
        raw[name] = np.asarray(twin.predict(norm, verbose=0), float)[:, 0]
        out[name] = BACK[maptype](raw[name] * deviation + mean)

    j_p, alpha_p = out["j_frac_pol"] * out["j_I"], out["alpha_frac_pol"] * out["alpha_I"]
    odd = np.where(flip, -1.0, 1.0)
    eight = {
        "j_I": nu * out["j_I"],
        "alpha_I": out["alpha_I"] / nu,
        "j_Q": -np.sqrt(1.0 - out["j_V_share"] ** 2) * j_p * nu,
        "alpha_Q": -np.sqrt(1.0 - out["alpha_V_share"] ** 2) * alpha_p / nu,
        "j_V": odd * out["j_V_share"] * j_p * nu,
        "alpha_V": odd * out["alpha_V_share"] * alpha_p / nu,
        "rho_Q": out["rho_Q"] * out["rho_Q_sign"] / nu,
        "rho_V": odd * out["rho_V"] / nu,
    }
    columns = {"nu": nu, "n_e": n_e, "s": s, "theta": theta, "p": p}
    columns |= {f"raw_{k}": v for k, v in raw.items()} | {k: n_e * v for k, v in eight.items()}
    rows = np.stack(list(columns.values()), -1)
    np.savetxt(
        directory / "expected.txt",
        rows,
        fmt="%.17g",
        delimiter="\t",
        header="\t".join(columns),
        comments="",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
