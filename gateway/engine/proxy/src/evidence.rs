//! Where decision records go besides the access log's lines: a file of bounded size, and a collector.
//!
//! Records are evidence: they are written whatever the access log's sink is. Where that is none, and nothing else was asked
//! for, they go to standard output.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use serde::Deserialize;

use crate::access_log::{AccessLog, Sink};
use crate::collector::{Collector, CollectorOptions};
use crate::rotated_file::RotatedFile;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceOptions {
    /// Empty: no file.
    pub file: PathBuf,
    pub file_bytes: u64,
    /// Full files that are kept, and the current one.
    pub files: u32,
    pub collector: CollectorOptions,
}

/// Handles on the writers' threads; cloned into each worker.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    sinks: Vec<AccessLog>,
}

impl Evidence {
    /// Each receiver ends when its writer has written all, after the last handle is gone.
    pub fn open(options: &EvidenceOptions, access_log: &Sink) -> Result<(Self, Vec<Receiver<()>>), String> {
        let mut opened = Vec::new();
        if !options.file.as_os_str().is_empty() {
            let path = &options.file;
            let file = RotatedFile::open(path, options.file_bytes, options.files);
            let file = file.map_err(|e| format!("egress log {}: {e}; check the folder", path.display()))?;
            opened.push(AccessLog::to(Box::new(file), "egress-log")?);
        }
        if !options.collector.url.is_empty() {
            let collector = Collector::open(&options.collector).map_err(|e| format!("collector: {e}"))?;
            opened.push(AccessLog::to(Box::new(collector), "egress-otlp")?);
        }
        if opened.is_empty() && *access_log == Sink::None {
            opened.push(AccessLog::open(&Sink::Stdout)?);
        }
        let (sinks, written) = opened.into_iter().unzip();
        Ok((Self { sinks }, written))
    }

    pub fn is_empty(&self) -> bool {
        self.sinks.is_empty()
    }

    /// This handle takes no more lines.
    pub fn end(&mut self) {
        self.sinks.clear();
    }

    pub fn dropped(&self) -> u64 {
        self.sinks.iter().map(AccessLog::dropped).sum()
    }

    /// Hands over a buffer of whole lines, and empties it.
    pub fn submit(&self, lines: &mut Vec<u8>) {
        for sink in &self.sinks {
            sink.submit(&mut lines.clone());
        }
        lines.clear();
    }
}
