//! Header fields as the lines of an HTTP/1 head.

use std::cell::RefCell;
use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};

type Pairs = Vec<(HeaderName, HeaderValue)>;

/// Room for the lines that the edge and filters add to a head.
const ADDED_BYTES: usize = 512;
const MOST_LINES: usize = 64;
const MOST_SPARE: usize = 64;

thread_local! {
    /// Lists of heads that are gone, for the next ones: every request needs several.
    static SPARE: RefCell<Vec<(Vec<Line>, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
}

/// Lines that all read `name: value` CRLF with one space, a name in lower case and nothing around the value.
///
/// Whoever makes one has checked names and values: they are tokens, and without control bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    /// The head as it was received.
    wire: Bytes,
    /// Lines that were not received like this.
    added: Vec<u8>,
    lines: Vec<Line>,
    // Boxed: few heads have one, and every head is handed on several times.
    view: OnceLock<Box<Pairs>>,
}

/// Where a line is, and how long its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    start: u32,
    end: u32,
    name_length: u32,
    added: bool,
    never_index: bool,
}

impl Line {
    /// A line of the head as it was received, its CRLF included.
    pub fn received(start: usize, end: usize, name_length: usize) -> Self {
        let (start, end, name_length) = (start as u32, end as u32, name_length as u32);
        Self { start, end, name_length, added: false, never_index: false }
    }

    #[inline]
    fn bytes<'a>(&self, wire: &'a [u8], added: &'a [u8]) -> &'a [u8] {
        let source = if self.added { added } else { wire };
        &source[self.start as usize..self.end as usize]
    }

    #[inline]
    fn name<'a>(&self, wire: &'a [u8], added: &'a [u8]) -> &'a [u8] {
        &self.bytes(wire, added)[..self.name_length as usize]
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if self.lines.capacity() == 0 || self.lines.capacity() > MOST_LINES || self.added.capacity() > ADDED_BYTES {
            return;
        }
        let (mut lines, mut added) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.added));
        lines.clear();
        added.clear();
        // A thread that ends needs no spares.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.push((lines, added));
            }
        });
    }
}

impl Text {
    pub fn new() -> Self {
        let (lines, added) = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        Self { wire: Bytes::new(), added, lines, view: OnceLock::new() }
    }

    /// Lines pushed as received are lines of `wire`.
    pub fn set_wire(&mut self, wire: Bytes) {
        self.wire = wire;
    }

    pub fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    fn name(&self, line: &Line) -> &[u8] {
        line.name(&self.wire, &self.added)
    }

    fn value_of(&self, line: &Line) -> &[u8] {
        let bytes = line.bytes(&self.wire, &self.added);
        &bytes[line.name_length as usize + 2..bytes.len() - 2]
    }

    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (self.name(line), self.value_of(line)))
    }

    pub fn value(&self, name: &str) -> Option<&[u8]> {
        let name = name.as_bytes();
        let found = self.lines.iter().find(|line| line.name_length as usize == name.len() && self.name(line) == name);
        found.map(|line| self.value_of(line))
    }

    pub fn append(&mut self, name: &HeaderName, value: &[u8], never_index: bool) {
        self.push_added(name.as_str().as_bytes(), value, never_index);
    }

    pub fn push_added(&mut self, name: &[u8], value: &[u8], never_index: bool) {
        let line = self.add(name, value, never_index);
        self.lines.push(line);
    }

    fn add(&mut self, name: &[u8], value: &[u8], never_index: bool) -> Line {
        self.view.take();
        if self.added.capacity() == 0 {
            self.added.reserve(ADDED_BYTES);
        }
        let start = self.added.len() as u32;
        self.added.extend_from_slice(name);
        self.added.extend_from_slice(b": ");
        self.added.extend_from_slice(value);
        self.added.extend_from_slice(b"\r\n");
        Line { start, end: self.added.len() as u32, name_length: name.len() as u32, added: true, never_index }
    }

    pub fn set(&mut self, name: &HeaderName, value: &[u8], never_index: bool) {
        let name = name.as_str().as_bytes();
        let new = self.add(name, value, never_index);
        let Self { wire, added, lines, .. } = self;
        match lines.iter().position(|line| line.name(wire, added) == name) {
            None => lines.push(new),
            Some(first) => {
                lines[first] = new;
                let mut place = 0;
                lines.retain(|line| {
                    let here = place;
                    place += 1;
                    here <= first || line.name(wire, added) != name
                });
            }
        }
    }

    pub fn retain_names(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let Self { wire, added, lines, view } = self;
        let before = lines.len();
        lines.retain(|line| keep(line.name(wire, added)));
        if lines.len() != before {
            view.take();
        }
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        let mut kept = self.view().iter().map(|(name, value)| keep(name, value)).collect::<Vec<_>>().into_iter();
        // The view has a pair for each line.
        self.lines.retain(|_| kept.next().unwrap_or(true));
        self.view.take();
    }

    /// The same fields, typed.
    pub fn view(&self) -> &Pairs {
        self.view.get_or_init(|| Box::new(self.lines.iter().filter_map(|line| self.pair(line)).collect()))
    }

    pub fn into_view(mut self) -> Pairs {
        self.view();
        self.view.take().map_or_else(Pairs::new, |view| *view)
    }

    /// `None` for what cannot have come in: see [`Text`].
    fn pair(&self, line: &Line) -> Option<(HeaderName, HeaderValue)> {
        let name = HeaderName::from_lowercase(self.name(line)).ok()?;
        let value = self.value_of(line);
        let value = if line.added {
            HeaderValue::from_bytes(value)
        } else {
            HeaderValue::from_maybe_shared(self.wire.slice_ref(value))
        };
        let mut value = value.ok()?;
        value.set_sensitive(line.never_index);
        Some((name, value))
    }

    pub fn most_bytes(&self) -> usize {
        self.wire.len() + self.added.len()
    }

    /// Lines that follow each other in their source are copied together.
    pub fn write(&self, skip: impl Fn(&[u8]) -> bool, out: &mut BytesMut) {
        let mut run: Option<Line> = None;
        for line in &self.lines {
            if skip(self.name(line)) {
                continue;
            }
            match &mut run {
                Some(run) if run.added == line.added && run.end == line.start => run.end = line.end,
                _ => {
                    if let Some(run) = run.replace(*line) {
                        out.put_slice(run.bytes(&self.wire, &self.added));
                    }
                }
            }
        }
        if let Some(run) = run {
            out.put_slice(run.bytes(&self.wire, &self.added));
        }
    }
}
