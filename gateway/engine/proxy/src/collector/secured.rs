//! Files that make TLS to a collector: read at the start, and again when one of them has changed.
//!
//! What cannot be read at the start is an error; a change that cannot is told, and what there was goes on: certificates and
//! their keys are put in place one after the other.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sekisho_tls::{OutwardTls, Trust};

use super::CollectorOptions;

type Modified = [Option<SystemTime>; 3];

#[derive(Debug)]
pub struct Secured {
    server_name: String,
    /// Authorities, certificate, key.
    files: [PathBuf; 3],
    tls: OutwardTls,
    /// When the files had changed as they were read last.
    modified: Modified,
}

impl Secured {
    /// `host`: as in a URL.
    pub fn open(host: &str, options: &CollectorOptions) -> Result<Self, String> {
        let CollectorOptions { authorities, certificate, private_key, .. } = options;
        if is_given(certificate) != is_given(private_key) {
            return Err("a certificate needs its private key, and a key its certificate".to_owned());
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let files = [authorities.clone(), certificate.clone(), private_key.clone()];
        let modified = modified(&files);
        Ok(Self { tls: build(bare, &files)?, server_name: bare.to_owned(), files, modified })
    }

    /// As the files are now.
    pub fn current(&mut self) -> &OutwardTls {
        let modified = modified(&self.files);
        if modified != self.modified {
            // Also where they are of no use: they are read again, and it is told again, when they change again.
            self.modified = modified;
            match build(&self.server_name, &self.files) {
                Ok(tls) => self.tls = tls,
                Err(reason) => eprintln!("the collector's certificates stay as they were: {reason}"),
            }
        }
        &self.tls
    }
}

fn is_given(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

fn modified(files: &[PathBuf; 3]) -> Modified {
    files.each_ref().map(|path| std::fs::metadata(path).and_then(|found| found.modified()).ok())
}

fn build(server_name: &str, files: &[PathBuf; 3]) -> Result<OutwardTls, String> {
    let [authorities, certificate, key] = files.each_ref().map(|path| read(path));
    let (certificate, key) = (certificate?, key?);
    let shown = (!certificate.is_empty()).then_some((certificate.as_str(), key.as_str()));
    let authorities = authorities?;
    if authorities.is_empty() && is_given(&files[0]) {
        return Err(format!("{}: there is nothing in it", files[0].display()));
    }
    let trust = Trust { authorities: &authorities, certificate: shown };
    OutwardTls::build(server_name, trust, &[b"http/1.1"])
}

/// Empty where no file is given.
fn read(path: &Path) -> Result<String, String> {
    if !is_given(path) {
        return Ok(String::new());
    }
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}; check the file and its mode", path.display()))
}
