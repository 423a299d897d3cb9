"""Observed spectra: what is read, masked, refused and written."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, QTable, Table

from synchrojax import spectra
from synchrojax.spectra import StokesSpectrum

NU = np.array([1e9, 2e9, 5e9, 9e9])
FLUX = np.array([1.0, 1.5, 1.2, 0.8])


def observed(**changed):
    given = {"I": FLUX, "Q": 0.1 * FLUX, "errors": {"I": 0.01, "Q": 0.02 * FLUX}}
    return StokesSpectrum(NU, **{**given, **changed})


def test_what_is_given():
    data = observed(mask={"Q": NU < 1.5e9}, upper=NU > 8e9)
    assert data.size == 7
    assert np.all(data.errors["I"] == 0.01)
    assert list(data.values) == ["I", "Q"]
    values, weights = data.table()
    assert np.all(values[2:] == 0.0)
    assert np.all(weights[2:] == 0.0)
    assert weights[1].tolist() == [0.0, *(1.0 / (0.02 * FLUX[1:]))]
    assert "7 values used, 1 of them upper limits" in repr(data)


def test_units_are_converted():
    data = StokesSpectrum([1.0, 2.0] * u.GHz, I=[3.0, 4.0] * u.mJy, errors=100.0 * u.uJy)
    np.testing.assert_allclose(data.nu, [1e9, 2e9])
    np.testing.assert_allclose(data.values["I"], [3e-3, 4e-3])
    np.testing.assert_allclose(data.errors["I"], 1e-4)


def test_masks_come_and_go():
    mask = NU < 1.5e9
    data = observed(mask=mask)
    assert data.add_mask_region(4e9, 6e9) is data
    assert data.mask["I"].tolist() == [True, False, True, False]
    data.add_mask_region(8.0 * u.GHz, 10.0 * u.GHz, stokes="Q")
    assert data.mask["Q"].tolist() == [True, False, True, True]
    data.reset_mask()
    assert data.mask["Q"].tolist() == mask.tolist()  # that which was given


def test_what_is_given_stays_as_it_is():
    nu, flux, errors, mask = NU.copy(), FLUX.copy(), 0.1 * FLUX, NU < 0.0
    data = StokesSpectrum(nu, I=flux, errors=errors, mask=mask)
    data.add_mask_region(1e9, 3e9)
    assert not mask.any()
    flux[0] = 7.0
    assert data.values["I"][0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        data.values["I"][0] = 2.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"errors": None}, "errors are missing"),
        ({"errors": {"I": 0.1}}, "errors of Q are missing"),
        ({"errors": {"V": 0.1}}, "errors of V, but what is given is I, Q"),
        ({"errors": 0.1 * FLUX - 0.12}, "error of I.0. = -0.02: must be positive"),
        ({"I": FLUX * [1, np.nan, 1, 1]}, "I.1. = nan: not finite: mask such channels"),
        ({"I": FLUX[:3]}, r"I has the shape \(3,\), nu has \(4,\)"),
        ({"mask": True}, "every channel is masked"),
        ({"mask": [0, 1, 2, 0]}, "mask of I must be True or False"),
        ({"I": None, "errors": 0.1, "upper": True}, "upper limits are of I, which is missing"),
        ({"I": FLUX * u.K}, "I is in K and takes Jy"),
        ({"I": None, "Q": None, "errors": 0.1}, "give at least one of I, Q, U and V"),
    ],
)
def test_refused(changed, message):
    with pytest.raises(ValueError, match=f"StokesSpectrum: .*{message}"):
        observed(**changed)


@pytest.mark.parametrize(
    ("nu", "message"),
    [
        (NU[::-1], "nu.1. = 5e.09: frequencies must increase"),
        ([1e9, 1e9, 2e9, 3e9], "nu.1. = 1e.09: frequencies must increase"),
        (-NU, "frequencies are positive"),
        (3e9, "one row of frequencies"),
    ],
)
def test_frequencies_that_are_refused(nu, message):
    with pytest.raises(ValueError, match=message):
        StokesSpectrum(nu, I=FLUX, errors=0.1)


@pytest.mark.parametrize("suffix", [".csv", ".ecsv", ".fits", ".npz"])
def test_written_and_read(tmp_path, suffix):
    data = observed(mask={"Q": NU < 1.5e9}, upper=NU > 8e9)
    path = tmp_path / f"observed{suffix}"
    spectra.write(data, path)
    again = spectra.read(path)
    np.testing.assert_array_equal(again.nu, data.nu)
    np.testing.assert_array_equal(again.upper, data.upper)
    for n in ("I", "Q"):
        np.testing.assert_array_equal(again.values[n], data.values[n])
        np.testing.assert_array_equal(again.errors[n], data.errors[n])
        np.testing.assert_array_equal(again.mask[n], data.mask[n])
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_of_radio_transients(tmp_path):
    """Stokes I alone in GHz and mJy, with an upper limit and a gap, and columns of others."""
    path = tmp_path / "transient.csv"
    path.write_text(
        "# from a telescope\ntelescope,Freq (GHz),Flux [mJy],Flux_err [mJy],upper\n"
        "VLA,1.5,0.30,0.03,false\nVLA,3,,0.03,false\nALMA,97.5,0.1,0.05,true\n"
    )
    data = spectra.read(path)
    np.testing.assert_allclose(data.nu, [1.5e9, 3e9, 97.5e9])
    np.testing.assert_allclose(data.values["I"][[0, 2]], [3e-4, 1e-4])
    assert data.mask["I"].tolist() == [False, True, False]
    assert data.upper.tolist() == [False, False, True]


def test_columns_of_astropy(tmp_path):
    table = QTable({"frequency": [1.0, 2.0] * u.GHz, "stokes_I": [1.0, 2.0] * u.mJy})
    table["e_I"] = [10.0, 20.0] * u.uJy
    table.write(tmp_path / "a.ecsv")
    data = spectra.read(tmp_path / "a.ecsv")
    np.testing.assert_allclose(data.errors["I"], [1e-5, 2e-5])
    masked = Table({"nu": [1e9, 2e9], "I_err": [0.1, 0.1]})
    masked["I"] = MaskedColumn([1.0, 2.0], mask=[True, False])
    masked.write(tmp_path / "b.fits")
    assert spectra.read(tmp_path / "b.fits").mask["I"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nu,I,I_err\n1.4,1,0.1\n", "if they are in GHz, name the column 'nu .GHz.'"),
        ("nu [GHz],I,I_err\n1.4,1\n", "row 1: 2 values for 3 columns"),
        ("nu [GHz],I,I_err\n1.4,one,0.1\n", "column 'I', row 1: 'one' is not a number"),
        ("nu [GHz],I\n1.4,1\n", "errors of I are missing"),
        ("nu [GHz],Freq,I,I_err\n1.4,1e9,1,0.1\n", "'nu' and 'Freq' mean the same"),
        ("nu [GHz],I [parsnip],I_err\n1.4,1,0.1\n", "'parsnip' is not known as a unit"),
        ("wavelength,I,I_err\n1.4,1,0.1\n", "no column of frequencies"),
        ("nu [GHz],I,I_err,Q_err\n1.4,1,0.1,0.1\n", "errors of Q without values"),
        ("nu,I,I_err\n", "expected a line with names of columns"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        spectra.read(path)
    assert str(path) in str(caught.value)


def test_files_that_are_none(tmp_path):
    for name, content in (("cut.npz", b"PK\x03\x04"), ("cut.fits", b"SIMPLE"), ("no.ecsv", b"a b")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=name):
            spectra.read(path)
    with pytest.raises(ValueError, match=r"spectra are read from \.csv, \.ecsv, \.fits, \.npz"):
        spectra.read("observed.txt")
    with pytest.raises(ValueError, match="no such file"):
        spectra.read("observed.csv")
    with pytest.raises(ValueError, match="spectra are written to"):
        spectra.write(observed(), tmp_path / "x.txt")
