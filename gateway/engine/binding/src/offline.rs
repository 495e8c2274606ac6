//! What can be asked without a running engine.

use pyo3::prelude::*;

use crate::border::without_lock;

/// Why a regular expression cannot be used, or `None`.
#[pyfunction]
pub(crate) fn regex_problem(py: Python<'_>, pattern: &str) -> PyResult<Option<String>> {
    without_lock(py, || sekisho_table::regex_problem(pattern))
}
