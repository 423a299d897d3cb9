"""Polarized image of a hot flow around a black hole, from physical parameters to Stokes I, Q, U, V
in one function.

An example of how synchrojax sits in a ray tracer, not a part of it: null geodesics of the
Schwarzschild metric, a stationary torus of thermal electrons on circular orbits in a toroidal and
vertical field, transfer along the rays.

    python black_hole.py            images, their derivatives and times; pictures beside this file
    python black_hole.py --exact    the same image from the exact integrals, kept in
    black_hole_exact.npz
"""

import argparse
import pathlib
import time
from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import synchrojax
from synchrojax import transfer

NU = 230e9  # [Hz], observed
GRAVITATIONAL_RADIUS = 6.35e11  # [cm], G M / c^2 of 4.3e6 suns
SAMPLES = 160  # along each ray
FAR = 28.0  # rays begin and end at this radius; lengths are in G M / c^2
FIELD_OF_VIEW = 26.0
HERE = pathlib.Path(__file__).parent


class Flow(NamedTuple):
    """What the image is a function of; values at radius 6 on the equator."""

    inclination: jax.Array | float = 1.05  # [rad], of the line of sight to the axis
    theta_e: jax.Array | float = 12.0  # k T / m_e c^2
    B: jax.Array | float = 25.0  # [G]
    n_e: jax.Array | float = 1.5e6  # [cm^-3]
    vertical: jax.Array | float = 0.5  # B_z / B_phi in the frame of the fluid
    height: jax.Array | float = 0.3  # scale height over radius
    inner: jax.Array | float = 4.5  # radius inside which the density falls off


class Path(NamedTuple):
    """Points of a ray in its plane, from the observer inwards."""

    r: jax.Array
    phi: jax.Array  # from the direction of the observer towards the offset of the ray
    slope: jax.Array  # dr / dl, where l is the affine parameter at unit energy
    ds: jax.Array  # step of l around each point


# Rays ----------------------------------------------------------------------------------------


def _start_angle(b):
    """Angle that the ray has turned from infinity to FAR."""
    x, w = np.polynomial.legendre.leggauss(16)
    u = 0.5 * (x + 1.0) / FAR
    dphi = b[..., None] / jnp.sqrt(1.0 - b[..., None] ** 2 * u**2 * (1.0 - 2.0 * u))
    return jnp.sum(dphi * (0.5 * w / FAR), -1)


def schwarzschild(b, samples):
    """``Path`` of rays with impact parameters ``b`` [rays], all [rays, samples]. G M = c = 1.

    r'' = b^2 (r - 3) / r^4, phi' = b / r^2; the step of the affine parameter is proportional to r -
    2, so that a ray that falls in never arrives.
    """

    def field(_, y, b):
        r, slope, _ = y
        return tuple((r - 2.0) * v for v in (slope, b**2 * (r - 3.0) / r**4, b / r**2))

    end = 12.5  # enough to come back for all but those within 0.02 of the critical impact parameter
    steps = (jnp.arange(samples) + 0.5) * (end / samples)

    def one(b):
        start = (
            jnp.asarray(FAR, b.dtype),
            -jnp.sqrt(1.0 - (1.0 - 2.0 / FAR) * (b / FAR) ** 2),
            _start_angle(b),
        )
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Tsit5(),
            t0=0.0,
            t1=end,
            dt0=0.05,
            y0=start,
            args=b,
            saveat=diffrax.SaveAt(ts=steps),
            stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-6),
            max_steps=512,
        ).ys

    r, slope, phi = jax.vmap(one)(b)
    return Path(r, phi, slope, (r - 2.0) * (end / samples))


def straight(b, samples):
    """The same without gravity: straight lines, even steps."""
    half = jnp.sqrt(FAR**2 - b**2)[:, None]
    along = half * (1.0 - 2.0 * (jnp.arange(samples) + 0.5) / samples)
    r = jnp.hypot(along, b[:, None])
    return Path(
        r,
        jnp.arctan2(b[:, None], along),
        -along / r,
        jnp.broadcast_to(2.0 * half / samples, r.shape),
    )


# The flow on the rays --------------------------------------------------------------------------


def _dot(a, b):
    return jnp.sum(a * b, -1)


def _unit(vector):
    size = jnp.sqrt(_dot(vector, vector))
    return vector / jnp.where(size > 0.0, size, 1.0)[..., None]


def along_rays(flow, x, y, rays, samples):
    """(params, psi, g, ds [cm]) at the samples of rays, farthest first.

    They pass through the points ``x`` (to the right), ``y`` (up, along the projection of the axis)
    of the screen, in G M / c^2. ``rays``: ``schwarzschild`` or ``straight``. Directions are those
    that observers at rest see, as in flat space.
    """
    gravity = 1.0 if rays is schwarzschild else 0.0
    b = jnp.hypot(x, y)
    path = rays(b, samples)
    cos, sin = jnp.cos(flow.inclination), jnp.sin(flow.inclination)
    observer = jnp.stack([sin, 0.0 * sin, cos])
    up, right = jnp.stack([-cos, 0.0 * sin, sin]), jnp.array([0.0, 1.0, 0.0])
    offset = (x[:, None] * right + y[:, None] * up) / b[:, None]
    normal = jnp.cross(observer, offset)  # of the plane of the ray: carried along the ray unchanged

    c, s = jnp.cos(path.phi)[..., None], jnp.sin(path.phi)[..., None]
    radial = c * observer + s * offset[:, None]
    across = c * offset[:, None] - s * observer
    lapse = jnp.sqrt(1.0 - 2.0 * gravity / path.r)
    # towards the observer: against the direction of tracing; of length 1 / lapse, the energy seen
    # at rest
    k = -(path.slope / lapse)[..., None] * radial - (b[:, None] / path.r)[..., None] * across
    energy = 1.0 / lapse
    k = _unit(k)

    axis = jnp.array([0.0, 0.0, 1.0])
    rho = jnp.sqrt(1.0 - radial[..., 2] ** 2)  # sine of the polar angle
    orbit = _unit(jnp.cross(jnp.broadcast_to(axis, radial.shape), radial))
    outward = jnp.cross(orbit, jnp.broadcast_to(axis, orbit.shape))
    r = jnp.maximum(path.r, 3.3)  # there is nothing inside
    speed = rho / jnp.sqrt(r - 2.0 * gravity)  # Kepler's, r^(-3/2), seen at rest
    boost = 1.0 / jnp.sqrt(1.0 - speed**2)

    # frame of the fluid: energies and directions on (outward, orbit, axis)
    def in_fluid(time, vector):
        forward = _dot(vector, orbit)
        return boost * (time - speed * forward), jnp.stack(
            [_dot(vector, outward), boost * (forward - speed * time), vector[..., 2]], -1
        )

    seen, direction = in_fluid(1.0, k)
    direction = direction / seen[..., None]
    time_part, first = in_fluid(0.0, jnp.broadcast_to(normal[:, None], k.shape))
    # what is left of the normal at right angles to u and k
    first = first - time_part[..., None] * direction
    second = jnp.cross(direction, first)
    field = _unit(jnp.stack([0.0 * flow.vertical, 1.0 + 0.0 * flow.vertical, flow.vertical]))
    one, two = _dot(first, field), _dot(second, field)
    on_screen = jnp.arctan2(-x, y) + 0.5 * jnp.pi  # of the normal, counter-clockwise from up
    psi = on_screen[:, None] + jnp.arctan2(two, one)
    g = 1.0 / (energy * seen)

    inside = (path.r > 3.3) & (path.r < 0.98 * FAR)
    height = radial[..., 2] / flow.height
    edge = 0.5 * (1.0 + jnp.tanh((path.r - flow.inner) / 0.4))
    outskirts = jnp.exp(-((path.r / 16.0) ** 4))
    density = flow.n_e * (6.0 / r) ** 1.5 * jnp.exp(-0.5 * height**2) * edge * outskirts
    params = {
        "nu": NU / g,
        "B": flow.B * (6.0 / r),
        "n_e": jnp.where(inside, density, 0.0),
        "theta": jnp.arctan2(jnp.hypot(one, two), _dot(direction, field)),
        "theta_e": flow.theta_e * (6.0 / r),
    }
    # where the density is below 1e-8 there is no light either, and the exact integrals need not be
    # asked
    params["n_e"] = jnp.where(density > 1e-8 * flow.n_e, params["n_e"], 0.0)
    flip = (params, psi, g, path.ds * GRAVITATIONAL_RADIUS)
    return jax.tree.map(lambda v: jnp.flip(v, -1), flip)


def screen(pixels):
    """Middles of the pixels: x to the right [columns], y upwards [rows, from the top]."""
    middle = (np.arange(pixels) + 0.5) / pixels - 0.5
    return FIELD_OF_VIEW * middle, -FIELD_OF_VIEW * middle


def image(model, flow, pixels=128, samples=SAMPLES, rays=schwarzschild):
    """Stokes I, Q, U, V [pixels, pixels, 4] at 230 GHz, erg s^-1 cm^-2 Hz^-1 sr^-1; Q > 0: electric
    vector along up.
    """
    x, y = (jnp.asarray(v, jnp.result_type(float)) for v in screen(pixels))

    def row(y):
        params, psi, g, ds = along_rays(flow, x, jnp.full_like(x, y), rays, samples)
        return jnp.stack(transfer.solve(model.coefficients(params), ds, psi=psi, g=g), -1)

    return jax.lax.map(row, y)  # a row at a time stays in the cache


def exact_image(flow, pixels=128, samples=SAMPLES, rays=schwarzschild, progress=print):
    """``image`` from the exact integrals, row by row; needs float64 and patience."""
    x, y = (jnp.asarray(v) for v in screen(pixels))
    trace = jax.jit(lambda flow, y: along_rays(flow, x, jnp.full_like(x, y), rays, samples))
    rows, asked, start = [], 0, time.time()
    for i, height in enumerate(y):
        params, psi, g, ds = trace(flow, height)
        asked += int(np.count_nonzero(params["n_e"]))
        c = synchrojax.exact.coefficients("thermal", params)
        rows.append(np.stack(transfer.solve(c, ds, psi=psi, g=g), -1))
        if i % 8 == 7:
            progress(f"row {i + 1} of {pixels}, {asked} integrals, {time.time() - start:.0f} s")
    return np.stack(rows)


# Pictures ------------------------------------------------------------------------------------


def show(axes, values, title, symmetric=False, unit=""):
    """One panel; symmetric: a diverging map around zero."""
    half = 0.5 * FIELD_OF_VIEW
    limit = float(np.max(np.abs(values)))
    limits = (
        {"vmin": -limit, "vmax": limit, "cmap": "RdBu_r"}
        if symmetric
        else {"vmin": 0.0, "cmap": "afmhot"}
    )
    shown = axes.imshow(
        values, extent=(-half, half, -half, half), interpolation="bilinear", **limits
    )
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("$x\\,c^2/GM$")
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.8)
    bar.set_label(unit, fontsize=8)


def ticks(axes, stokes, every=8):
    """Electric vectors, as long as Q, U are large against I."""
    pixels = stokes.shape[0]
    x, y = screen(pixels)
    pick = slice(every // 2, None, every)
    i, q, u, _ = np.moveaxis(stokes[pick, pick], -1, 0)
    fraction = np.hypot(q, u) / np.maximum(i, 1e-300)
    angle = 0.5 * np.arctan2(u, q)  # counter-clockwise from up
    length = np.where(i > 0.02 * np.max(stokes[..., 0]), fraction, 0.0)
    xs, ys = np.meshgrid(x[pick], y[pick])
    style = {
        "pivot": "mid",
        "headwidth": 0,
        "headlength": 0,
        "headaxislength": 0,
        "color": "c",
        "width": 0.004,
    }
    axes.quiver(xs, ys, -length * np.sin(angle), length * np.cos(angle), scale=14.0, **style)


def picture(stokes):
    """I with the electric vectors, and V / I."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    unit = "erg s$^{-1}$ cm$^{-2}$ Hz$^{-1}$ sr$^{-1}$"
    show(left, stokes[..., 0], "Stokes I at 230 GHz, electric vectors", unit=unit)
    ticks(left, stokes)
    bright = stokes[..., 0] > 1e-3 * np.max(stokes[..., 0])
    share = np.where(bright, stokes[..., 3] / np.where(bright, stokes[..., 0], 1.0), 0.0)
    show(right, 100.0 * share, "V / I", symmetric=True, unit="per cent")
    return figure


def derivatives(model, names=("inclination", "theta_e", "B", "n_e"), **options):
    """A function from ``Flow`` to {name: d image / d name}, by forward mode, one pass each."""

    @jax.jit
    def slope(flow, direction):
        return jax.jvp(lambda f: image(model, f, **options), (flow,), (direction,))[1]

    def each(flow):
        flow = Flow(*(jnp.asarray(v, jnp.result_type(float)) for v in flow))
        zero = Flow(*(jnp.zeros_like(v) for v in flow))
        return {
            n: slope(flow, zero._replace(**{n: jnp.ones_like(getattr(flow, n))})) for n in names
        }

    return each


def picture_of_derivatives(slopes, flow):
    """d I / d ln parameter (inclination: per radian)."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(15.0, 3.4), layout="constrained")
    for axes, (name, slope) in zip(figure.subplots(1, len(slopes)), slopes.items(), strict=True):
        factor = 1.0 if name == "inclination" else float(getattr(flow, name))
        title = "dI / d inclination" if name == "inclination" else f"dI / d ln {name}"
        show(axes, factor * np.asarray(slope)[..., 0], title, symmetric=True)
    return figure


def picture_of_differences(network, truth):
    """Network minus exact in each Stokes parameter, in units of the peak of I."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(15.0, 3.4), layout="constrained")
    peak = np.max(truth[..., 0])
    for k, axes in enumerate(figure.subplots(1, 4)):
        show(
            axes,
            (network - truth)[..., k] / peak,
            f"{'IQUV'[k]}: (network - exact) / peak of I",
            symmetric=True,
        )
    return figure


def timed(function, *arguments):
    """(result, seconds of the second call)."""
    jax.block_until_ready(function(*arguments))
    start = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return result, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--exact", action="store_true", help="the exact image, too (half an hour on two cores)"
    )
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="along each ray")
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="directory of the pictures")
    options = parser.parse_args()
    size = {"pixels": options.pixels, "samples": options.samples}
    model, flow = synchrojax.load("thermal"), Flow()
    stokes, seconds = timed(jax.jit(lambda flow: image(model, flow, **size)), flow)
    print(f"image: {seconds:.2f} s in {stokes.dtype}")
    options.out.mkdir(parents=True, exist_ok=True)
    picture(np.asarray(stokes)).savefig(options.out / "black_hole.png", dpi=80)
    slopes, seconds = timed(derivatives(model, **size), flow)
    print(f"derivatives: {seconds / len(slopes):.2f} s each")
    picture_of_derivatives(slopes, flow).savefig(options.out / "black_hole_derivatives.png", dpi=80)
    if options.exact:
        with jax.enable_x64(True):
            truth = exact_image(flow, **size)
            network = np.asarray(jax.jit(lambda flow: image(model, flow, **size))(flow))
        np.savez_compressed(options.out / "black_hole_exact.npz", stokes=truth.astype(np.float32))
        worst = np.max(np.abs(network - truth), (0, 1)) / np.max(truth[..., 0])
        print(
            "largest difference over the peak of I:",
            *(f"{n} {v:.1e}" for n, v in zip("IQUV", worst, strict=True)),
        )
        picture_of_differences(network, truth).savefig(
            options.out / "black_hole_difference.png", dpi=80
        )


if __name__ == "__main__":
    main()
