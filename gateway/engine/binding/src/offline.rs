//! What can be asked without a running engine.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::border::{bad_input, without_lock};

/// What a gateway with this snapshot would do with a request.
#[pyfunction]
pub(crate) fn explain<'py>(py: Python<'py>, snapshot: &[u8], request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let explanation = without_lock(py, || sekisho_proxy::explain_offline(snapshot, request))?.map_err(bad_input)?;
    Ok(PyBytes::new(py, &explanation))
}

/// What a gateway would answer to this snapshot, without its listeners' states.
#[pyfunction]
pub(crate) fn validate<'py>(py: Python<'py>, snapshot: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let applied = without_lock(py, || sekisho_proxy::validate(snapshot))?;
    Ok(PyBytes::new(py, &applied))
}

/// Why a regular expression cannot be used, or `None`.
#[pyfunction]
pub(crate) fn regex_problem(py: Python<'_>, pattern: &str) -> PyResult<Option<String>> {
    without_lock(py, || sekisho_table::regex_problem(pattern))
}

/// Every reason code with its response flags, as JSON.
#[pyfunction]
pub(crate) fn reasons(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
    let reasons = without_lock(py, sekisho_proxy::reasons)?;
    Ok(PyBytes::new(py, &reasons))
}
