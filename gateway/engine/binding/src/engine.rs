//! The running data plane as a Python object.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sekisho_proxy::EngineOptions;
use sekisho_table::SnapshotText;
use serde_json::Value;

use crate::border::{bad_input, without_lock};

/// Moves the traffic on threads of its own. Every method may be called from any thread.
#[pyclass(frozen, module = "gateway._engine")]
pub(crate) struct Engine {
    engine: sekisho_proxy::Engine,
    closed: AtomicBool,
}

impl Engine {
    fn open(&self) -> PyResult<&sekisho_proxy::Engine> {
        if self.closed.load(Ordering::Acquire) {
            return Err(PyRuntimeError::new_err("the engine is closed"));
        }
        Ok(&self.engine)
    }
}

/// The pieces of a wire snapshot, one after the other.
#[pyclass(frozen, module = "gateway._engine")]
pub(crate) struct SnapshotPieces {
    text: Mutex<SnapshotText>,
}

#[pymethods]
impl SnapshotPieces {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let piece = without_lock(py, || self.text.lock().unwrap_or_else(PoisonError::into_inner).next())?;
        let piece = piece.transpose().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(piece.map(|piece| PyBytes::new(py, &piece)))
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, options: &[u8]) -> PyResult<Self> {
        // By way of an object: a record would also be read from an array, by position.
        let options: EngineOptions = serde_json::from_slice(options)
            .and_then(|object| serde_json::from_value(Value::Object(object)))
            .map_err(|error| bad_input(format!("the engine's options cannot be read: {error}")))?;
        let engine = without_lock(py, || sekisho_proxy::Engine::start(&options))?.map_err(bad_input)?;
        Ok(Self { engine, closed: AtomicBool::new(false) })
    }

    fn apply<'py>(&self, py: Python<'py>, update: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let engine = self.open()?;
        let applied = without_lock(py, || engine.apply(update))?;
        Ok(PyBytes::new(py, &applied))
    }

    fn snapshot(&self, py: Python<'_>, kinds: Vec<String>) -> PyResult<SnapshotPieces> {
        let engine = self.open()?;
        let text = without_lock(py, || engine.snapshot(&kinds))?;
        Ok(SnapshotPieces { text: Mutex::new(text) })
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let engine = self.open()?;
        let counts = without_lock(py, || engine.counts())?;
        Ok(PyBytes::new(py, &counts))
    }

    fn explain<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let engine = self.open()?;
        let explanation = without_lock(py, || engine.explain(request))?.map_err(bad_input)?;
        Ok(PyBytes::new(py, &explanation))
    }

    /// The key stays in this process: it is neither logged nor told again.
    fn set_identity(
        &self,
        py: Python<'_>,
        chain_pem: &str,
        private_key_pem: &str,
        trust_bundle_pem: &str,
        trust_domain: &str,
    ) -> PyResult<()> {
        let engine = self.open()?;
        let set = || engine.set_identity(chain_pem, private_key_pem, trust_bundle_pem, trust_domain);
        without_lock(py, set)?.map_err(bad_input)
    }

    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let engine = self.open()?;
        let statistics = without_lock(py, || engine.statistics())?;
        Ok(PyBytes::new(py, &statistics))
    }

    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        match self.open() {
            Ok(engine) => without_lock(py, || engine.drain()),
            // Nothing is left to drain.
            Err(_) => Ok(()),
        }
    }

    fn active(&self) -> u64 {
        if self.closed.load(Ordering::Acquire) { 0 } else { self.engine.active() }
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        without_lock(py, || self.engine.close())
    }
}
