//! The running engine.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sekisho_proxy::EngineOptions;

use crate::border::without_lock;

/// The data plane in this process: worker threads, sockets, connections.
#[pyclass(module = "gateway._engine", frozen)]
pub(crate) struct Engine {
    inner: sekisho_proxy::Engine,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, options: &[u8]) -> PyResult<Self> {
        let options: EngineOptions =
            serde_json::from_slice(options).map_err(|e| PyValueError::new_err(format!("engine options: {e}")))?;
        let inner = without_lock(py, || sekisho_proxy::Engine::start(&options))?.map_err(PyRuntimeError::new_err)?;
        Ok(Self { inner })
    }

    fn apply<'py>(&self, py: Python<'py>, update: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &without_lock(py, || self.inner.apply(update))?))
    }

    fn explain<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let answer = without_lock(py, || self.inner.explain(request))?.map_err(PyValueError::new_err)?;
        Ok(PyBytes::new(py, &answer))
    }

    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &without_lock(py, || self.inner.statistics())?))
    }

    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        without_lock(py, || self.inner.drain())
    }

    fn active(&self) -> u64 {
        self.inner.active()
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        without_lock(py, || self.inner.close())
    }
}
