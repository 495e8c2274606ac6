//! A file that is put aside when it is full: `log`, and before it `log.1`, `log.2` and so on, the oldest of which goes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes what it is given as a whole: a line is in one file.
#[derive(Debug)]
pub struct RotatedFile {
    path: PathBuf,
    max_bytes: u64,
    /// How many there are at most, the current one included.
    files: u32,
    current: File,
    size: u64,
}

impl RotatedFile {
    pub fn open(path: &Path, max_bytes: u64, files: u32) -> io::Result<Self> {
        let (current, size) = append(path)?;
        Ok(Self { path: path.to_owned(), max_bytes, files: files.max(1), current, size })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.files).rev() {
            let from = if number == 1 { self.path.clone() } else { self.numbered(number - 1) };
            match std::fs::rename(from, self.numbered(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.files == 1 {
            std::fs::remove_file(&self.path)?;
        }
        (self.current, self.size) = append(&self.path)?;
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

impl Write for RotatedFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        // Lines go where they fit. One that is larger than a file has one to itself.
        let mut rest = data;
        while !rest.is_empty() {
            let room = self.max_bytes.saturating_sub(self.size) as usize;
            let fits =
                if rest.len() <= room { rest.len() } else { rest[..room].iter().rposition(is_end).map_or(0, next) };
            if fits > 0 {
                self.current.write_all(&rest[..fits])?;
                self.size += fits as u64;
                rest = &rest[fits..];
            } else if self.size > 0 {
                self.rotate()?;
            } else {
                let line = rest.iter().position(is_end).map_or(rest.len(), next);
                self.current.write_all(&rest[..line])?;
                self.size += line as u64;
                rest = &rest[line..];
            }
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.current.flush()
    }
}

fn is_end(byte: &u8) -> bool {
    *byte == b'\n'
}

fn next(position: usize) -> usize {
    position + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_goes() {
        let directory = std::env::temp_dir().join(format!("sekisho-rotated-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("records");
        let mut file = RotatedFile::open(&path, 10, 3).expect("a file");
        for line in ["one\n", "two\n", "three\n", "four\nfive\n", "much longer than ten\n", "six\n"] {
            file.write_all(line.as_bytes()).expect("written");
        }
        assert_eq!(read(&path), "six\n");
        assert_eq!(read(&directory.join("records.1")), "much longer than ten\n");
        assert_eq!(read(&directory.join("records.2")), "four\nfive\n");
        assert!(!directory.join("records.3").exists());
        drop(file);
        // After a restart it goes on where it was.
        let mut file = RotatedFile::open(&path, 10, 3).expect("a file");
        file.write_all(b"seven\n").expect("written");
        assert_eq!(read(&path), "six\nseven\n");
        std::fs::remove_dir_all(directory).expect("removed");
    }
}
