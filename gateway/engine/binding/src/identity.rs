//! Keys, requests and certificates, for who gets this gateway an identity.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sekisho_tls::{CertificateRequest, Svid};

use crate::border::{bad_input, without_lock};

/// A new key's certificate request and the key, PEM.
#[pyfunction]
pub(crate) fn certificate_request(py: Python<'_>) -> PyResult<(String, String)> {
    let made = without_lock(py, CertificateRequest::generate)?.map_err(PyRuntimeError::new_err)?;
    Ok((made.request, made.private_key))
}

/// What an identity says, as JSON; `ValueError` where it is none.
#[pyfunction]
pub(crate) fn read_identity<'py>(
    py: Python<'py>,
    chain_pem: &str,
    private_key_pem: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let svid = without_lock(py, || Svid::read(chain_pem, private_key_pem))?.map_err(bad_input)?;
    let Svid { uri, begins, ends, root_key } = svid;
    let text = serde_json::json!({ "uri": uri, "begins": begins, "ends": ends, "root_key": root_key }).to_string();
    Ok(PyBytes::new(py, text.as_bytes()))
}

/// When the first certificate of a chain stops being valid, or `None` where one cannot be read.
#[pyfunction]
pub(crate) fn chain_ends(py: Python<'_>, chain_pem: &str) -> PyResult<Option<i64>> {
    without_lock(py, || sekisho_tls::chain_ends(chain_pem))
}
