//! Header fields as the lines of an HTTP/1 head.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut, Range};
use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};

type Pairs = Vec<(HeaderName, HeaderValue)>;

/// Lines that all read `name: value` CRLF with one space, a name in lower case and nothing around the value.
///
/// Whoever makes one has checked names and values: they are tokens, and without control bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    /// The head as it was received, and after it the lines that were not received like this.
    bytes: Vec<u8>,
    lines: Vec<Line>,
    view: OnceLock<Pairs>,
}

/// Where a line is, and how long its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    start: u32,
    end: u32,
    name_length: u32,
    never_index: bool,
}

impl Line {
    /// A line as it was received, its CRLF included.
    pub fn received(place: Range<usize>, name_length: usize) -> Self {
        let (start, end, name_length) = (place.start as u32, place.end as u32, name_length as u32);
        Self { start, end, name_length, never_index: false }
    }

    #[inline]
    fn text<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start as usize..self.end as usize]
    }

    #[inline]
    fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &self.text(bytes)[..self.name_length as usize]
    }

    #[inline]
    fn value(&self) -> Range<usize> {
        (self.start + self.name_length) as usize + 2..self.end as usize - 2
    }
}

impl Text {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The head in the making: only its parser changes it in place.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Adds a line whose parts are somewhere in the bytes.
    pub fn push_respelled(&mut self, name: Range<usize>, value: Range<usize>) {
        let (start, name_length) = (self.bytes.len(), name.len());
        self.bytes.extend_from_within(name);
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_within(value);
        self.bytes.extend_from_slice(b"\r\n");
        self.lines.push(Line::received(start..self.bytes.len(), name_length));
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (line.name(&self.bytes), &self.bytes[line.value()]))
    }

    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8], bool)> {
        self.lines.iter().map(|line| (line.name(&self.bytes), &self.bytes[line.value()], line.never_index))
    }

    /// The first value of `name`.
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        let line = self.lines.iter().find(|line| self.is_of(line, name))?;
        Some(&self.bytes[line.value()])
    }

    /// The value of `name` where there is exactly one.
    pub fn only_value(&self, name: &[u8]) -> Option<&[u8]> {
        let mut lines = self.lines.iter().filter(|line| self.is_of(line, name));
        let line = lines.next().filter(|_| lines.next().is_none())?;
        Some(&self.bytes[line.value()])
    }

    fn is_of(&self, line: &Line, name: &[u8]) -> bool {
        line.name_length as usize == name.len() && line.name(&self.bytes) == name
    }

    /// Adds the lines of another text.
    pub fn append_all(&mut self, other: &Text) {
        self.view.take();
        let by = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&other.bytes);
        let moved = |line: &Line| Line { start: line.start + by, end: line.end + by, ..*line };
        self.lines.extend(other.lines.iter().map(moved));
    }

    pub fn append(&mut self, name: &HeaderName, value: &[u8], never_index: bool) {
        let line = self.add(name, value, never_index);
        self.lines.push(line);
    }

    fn add(&mut self, name: &HeaderName, value: &[u8], never_index: bool) -> Line {
        self.view.take();
        let start = self.bytes.len();
        let name = name.as_str().as_bytes();
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
        Line { never_index, ..Line::received(start..self.bytes.len(), name.len()) }
    }

    pub fn set(&mut self, name: &HeaderName, value: &[u8], never_index: bool) {
        let new = self.add(name, value, never_index);
        let name = name.as_str().as_bytes();
        let Self { bytes, lines, .. } = self;
        match lines.iter().position(|line| line.name(bytes) == name) {
            None => lines.push(new),
            Some(first) => {
                lines[first] = new;
                let mut place = 0;
                lines.retain(|line| {
                    let here = place;
                    place += 1;
                    here <= first || line.name(bytes) != name
                });
            }
        }
    }

    pub fn retain_names(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let Self { bytes, lines, view } = self;
        let before = lines.len();
        lines.retain(|line| keep(line.name(bytes)));
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
        self.view.get_or_init(|| {
            let shared = Bytes::copy_from_slice(&self.bytes);
            self.lines.iter().filter_map(|line| pair(line, &shared)).collect()
        })
    }

    pub fn take_view(&mut self) -> Pairs {
        self.view();
        self.view.take().unwrap_or_default()
    }

    pub fn most_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Lines that follow each other are copied together.
    pub fn write(&self, skip: impl Fn(&[u8]) -> bool, out: &mut BytesMut) {
        let (mut start, mut end) = (0, 0);
        for line in self.lines.iter().filter(|line| !skip(line.name(&self.bytes))) {
            if line.start != end {
                out.put_slice(&self.bytes[start as usize..end as usize]);
                start = line.start;
            }
            end = line.end;
        }
        out.put_slice(&self.bytes[start as usize..end as usize]);
    }
}

/// `None` for what cannot have come in: see [`Text`].
fn pair(line: &Line, bytes: &Bytes) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_lowercase(line.name(bytes)).ok()?;
    let mut value = HeaderValue::from_maybe_shared(bytes.slice(line.value())).ok()?;
    value.set_sensitive(line.never_index);
    Some((name, value))
}

/// Texts of heads that are gone, a few for each thread: every exchange needs two.
const MOST_SPARE: usize = 32;
const MOST_BYTES: usize = 4 * 1024;
const MOST_LINES: usize = 64;

thread_local! {
    #[allow(clippy::vec_box, reason = "a text is lent and given back by its pointer")]
    static SPARE: RefCell<Vec<Box<Text>>> = const { RefCell::new(Vec::new()) };
}

/// A text that goes back to the spare ones.
#[derive(Debug)]
pub(crate) struct Lent(Option<Box<Text>>);

impl Lent {
    /// An empty one.
    pub fn take() -> Self {
        Self(Some(SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()))
    }
}

impl Clone for Lent {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Deref for Lent {
    type Target = Text;

    fn deref(&self) -> &Text {
        self.0.as_deref().expect("a text is there until it is dropped")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Text {
        self.0.as_deref_mut().expect("a text is there until it is dropped")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut text) = self.0.take() else { return };
        if text.bytes.capacity() > MOST_BYTES || text.lines.capacity() > MOST_LINES {
            return;
        }
        text.bytes.clear();
        text.lines.clear();
        text.view.take();
        // A thread that ends needs no spares.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.push(text);
            }
        });
    }
}
