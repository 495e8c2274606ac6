//! What can be asked without a running engine.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::border::without_lock;

/// Why a regular expression cannot be used, or `None`.
#[pyfunction]
pub(crate) fn regex_problem(py: Python<'_>, pattern: &str) -> PyResult<Option<String>> {
    without_lock(py, || sekisho_table::regex_problem(pattern))
}

/// Where a request would go with this snapshot, and why.
#[pyfunction]
pub(crate) fn explain<'py>(py: Python<'py>, snapshot: &[u8], request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let answer = without_lock(py, || sekisho_proxy::explain_offline(snapshot, request))?;
    Ok(PyBytes::new(py, &answer.map_err(PyValueError::new_err)?))
}

/// What an engine would answer to this snapshot, apart from binding sockets.
#[pyfunction]
pub(crate) fn validate<'py>(py: Python<'py>, snapshot: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &without_lock(py, || sekisho_proxy::validate(snapshot))?))
}

/// Every reason code and its flags.
#[pyfunction]
pub(crate) fn reasons(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &sekisho_proxy::reasons())
}
