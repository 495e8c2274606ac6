//! The engine as the Python module `gateway._engine`; its checked stub is `gateway/_engine.pyi`.
//!
//! Owns the border alone: bytes in, bytes out, the interpreter lock released in between, panics
//! turned into exceptions. No decision is taken here, and no other crate knows PyO3.

mod border;
mod engine;
mod identity;
mod offline;

use pyo3::pymodule;

/// The engine allocates small and often on every core, and much of it at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The Rust engine: moves the traffic, and answers for the table it holds.
#[pymodule]
mod _engine {
    #[pymodule_export]
    use super::engine::{Engine, SnapshotPieces};
    #[pymodule_export]
    use super::identity::{certificate_request, chain_ends, read_identity};
    #[pymodule_export]
    use super::offline::{explain, reasons, regex_problem, validate};
}
