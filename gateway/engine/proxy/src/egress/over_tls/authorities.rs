//! What name servers are verified by: a file of PEM, read again when it changes, or the operating system's authorities.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Shared by all workers; looked at when a connection is opened.
#[derive(Debug, Default)]
pub struct Authorities {
    /// Empty: the operating system's.
    file: PathBuf,
    read: Mutex<Option<(SystemTime, Arc<str>)>>,
}

impl Authorities {
    /// An error says what is wrong with the file.
    pub fn open(file: &Path) -> Result<Self, String> {
        let authorities = Self { file: file.to_owned(), read: Mutex::default() };
        authorities.current()?;
        Ok(authorities)
    }

    /// As they are now; empty for the operating system's.
    pub fn current(&self) -> Result<Arc<str>, String> {
        if self.file.as_os_str().is_empty() {
            return Ok(Arc::default());
        }
        let wrong = |error: std::io::Error| format!("{}: {error}; check the file and its mode", self.file.display());
        let modified = std::fs::metadata(&self.file).and_then(|found| found.modified()).map_err(wrong)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = read.as_ref().filter(|(at, _)| *at == modified) {
            return Ok(text.clone());
        }
        let text: Arc<str> = std::fs::read_to_string(&self.file).map_err(wrong)?.into();
        if text.trim().is_empty() {
            return Err(format!("{}: there is no certificate in it", self.file.display()));
        }
        *read = Some((modified, text.clone()));
        Ok(text)
    }
}
