//! Crossing the border: the interpreter lock, panics and bad input.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::marker::Ungil;
use pyo3::{PyErr, PyResult, Python};

/// Runs `work` without the interpreter lock. A panic becomes a `RuntimeError`: the engine's state
/// is replaced whole or not at all, so what was there before the call still serves.
pub(crate) fn without_lock<T: Ungil + Send>(py: Python<'_>, work: impl FnOnce() -> T + Ungil + Send) -> PyResult<T> {
    py.detach(|| catch_unwind(AssertUnwindSafe(work)))
        .map_err(|panic| PyRuntimeError::new_err(format!("the engine failed: {}", sentence(&*panic))))
}

pub(crate) fn bad_input(reason: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(reason.to_string())
}

fn sentence(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason was given")
}
