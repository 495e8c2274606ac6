//! The header fields of a message, in wire order.
//!
//! Lists are small and read a few times, so nothing is hashed. They have two forms: typed pairs, for what was made here
//! or came by HPACK, and the text of lines, for what HTTP/1 brought. Text that is only passed on is never taken apart:
//! the typed view of it is made when somebody first asks for it.

mod text;

use bytes::{BufMut, BytesMut};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::fields::holds_control;
pub(crate) use text::{Lent, Line, Text};

/// Fields that many messages get, in both forms.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    pairs: Vec<(HeaderName, HeaderValue)>,
    text: Text,
}

impl FromIterator<(HeaderName, HeaderValue)> for Prepared {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        let pairs: Vec<_> = fields.into_iter().collect();
        let mut text = Text::default();
        for (name, value) in &pairs {
            text.append(name, value.as_bytes(), value.is_sensitive());
        }
        Self { pairs, text }
    }
}

/// Header fields in wire order; names are lower case.
#[derive(Clone, Debug)]
pub struct Headers {
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Typed(Vec<(HeaderName, HeaderValue)>),
    Text(Lent),
}

impl Default for Headers {
    fn default() -> Self {
        Self { form: Form::Typed(Vec::new()) }
    }
}

impl Headers {
    pub fn with_capacity(capacity: usize) -> Self {
        Self { form: Form::Typed(Vec::with_capacity(capacity)) }
    }

    pub(crate) fn from_text(text: Lent) -> Self {
        Self { form: Form::Text(text) }
    }

    pub fn len(&self) -> usize {
        match &self.form {
            Form::Typed(list) => list.len(),
            Form::Text(text) => text.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn pairs(&self) -> &[(HeaderName, HeaderValue)] {
        match &self.form {
            Form::Typed(list) => list,
            Form::Text(text) => text.view(),
        }
    }

    /// The first value of `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        // Most questions are about fields that are not there; they need no view.
        if !self.contains(name) {
            return None;
        }
        self.pairs().iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
        let pairs = if self.contains(name) { self.pairs() } else { &[] };
        pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v)
    }

    /// The first value of `name`, as bytes: never makes a view.
    pub fn value(&self, name: &HeaderName) -> Option<&[u8]> {
        match &self.form {
            Form::Typed(list) => list.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_bytes()),
            Form::Text(text) => text.value(name.as_str().as_bytes()),
        }
    }

    /// The value of `name` where there is exactly one.
    pub fn only_value(&self, name: &HeaderName) -> Option<&[u8]> {
        match &self.form {
            Form::Typed(list) => {
                let mut values = list.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_bytes());
                values.next().filter(|_| values.next().is_none())
            }
            Form::Text(text) => text.only_value(name.as_str().as_bytes()),
        }
    }

    pub fn contains(&self, name: &HeaderName) -> bool {
        self.value(name).is_some()
    }

    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        match &mut self.form {
            Form::Typed(list) => list.push((name, value)),
            Form::Text(text) => text.append(&name, value.as_bytes(), value.is_sensitive()),
        }
    }

    /// Like `append`, for what the caller keeps.
    pub fn append_copy(&mut self, name: &HeaderName, value: &HeaderValue) {
        match &mut self.form {
            Form::Typed(list) => list.push((name.clone(), value.clone())),
            Form::Text(text) => text.append(name, value.as_bytes(), value.is_sensitive()),
        }
    }

    /// Appends every field of a prepared list.
    pub fn append_all(&mut self, prepared: &Prepared) {
        match &mut self.form {
            Form::Typed(list) => list.extend_from_slice(&prepared.pairs),
            Form::Text(text) => text.append_all(&prepared.text),
        }
    }

    /// Replaces every value of `name` with one that no other message repeats, and that would only push useful ones out
    /// of HPACK's table (RFC 7541, 7.1.3). A value that is none leaves nothing of `name`.
    pub fn set_unique(&mut self, name: &HeaderName, value: &[u8]) {
        self.remove(name);
        if holds_control(value) {
            return;
        }
        match &mut self.form {
            Form::Typed(list) => {
                if let Ok(mut value) = HeaderValue::from_bytes(value) {
                    value.set_sensitive(true);
                    list.push((name.clone(), value));
                }
            }
            Form::Text(text) => text.append(name, value, true),
        }
    }

    /// Replaces every value of `name` with one, in the place of the first.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        let list = match &mut self.form {
            Form::Typed(list) => list,
            Form::Text(text) => return text.set(&name, value.as_bytes(), value.is_sensitive()),
        };
        let mut value = Some(value);
        list.retain_mut(|(n, v)| {
            if *n != name {
                return true;
            }
            match value.take() {
                Some(new) => {
                    *v = new;
                    true
                }
                None => false,
            }
        });
        if let Some(value) = value {
            list.push((name, value));
        }
    }

    /// Removes every value of `name`; true when there was one.
    pub fn remove(&mut self, name: &HeaderName) -> bool {
        let found = self.contains(name);
        if found {
            self.retain_names(|other| other != name.as_str().as_bytes());
        }
        found
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        match &mut self.form {
            Form::Typed(list) => list.retain(|(n, v)| keep(n, v)),
            Form::Text(text) => text.retain(keep),
        }
    }

    /// Like `retain`, by names alone: never makes a view.
    pub fn retain_names(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        match &mut self.form {
            Form::Typed(list) => list.retain(|(n, _)| keep(n.as_str().as_bytes())),
            Form::Text(text) => text.retain_names(keep),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.pairs().iter().map(|(n, v)| (n, v))
    }

    /// Names and values as bytes: never makes a view.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (list, text) = match &self.form {
            Form::Typed(list) => (&list[..], None),
            Form::Text(text) => (&[][..], Some(text.lines())),
        };
        list.iter().map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes())).chain(text.into_iter().flatten())
    }

    /// Names and values as bytes, and whether they stay out of HPACK's tables (RFC 7541, 7.1.3): never makes a view.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8], bool)> {
        let (list, text) = match &self.form {
            Form::Typed(list) => (&list[..], None),
            Form::Text(text) => (&[][..], Some(text.fields())),
        };
        let typed = list.iter().map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes(), v.is_sensitive()));
        typed.chain(text.into_iter().flatten())
    }

    /// No less than what [`Self::write`] writes.
    pub(crate) fn most_bytes(&self) -> usize {
        match &self.form {
            Form::Typed(list) => list.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum(),
            Form::Text(text) => text.most_bytes(),
        }
    }

    /// Writes the lines of a head, without those whose names `skip` picks.
    pub(crate) fn write(&self, skip: impl Fn(&[u8]) -> bool, out: &mut BytesMut) {
        let list = match &self.form {
            Form::Typed(list) => list,
            Form::Text(text) => return text.write(skip, out),
        };
        for (name, value) in list {
            let name = name.as_str().as_bytes();
            if !skip(name) {
                out.put_slice(name);
                out.put_slice(b": ");
                out.put_slice(value.as_bytes());
                out.put_slice(b"\r\n");
            }
        }
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn from_map(map: HeaderMap) -> Self {
        let mut list = Vec::with_capacity(map.len());
        let mut last: Option<HeaderName> = None;
        for (name, value) in map {
            // `HeaderMap` yields the name only with the first of several values.
            if name.is_some() {
                last = name;
            }
            if let Some(name) = &last {
                list.push((name.clone(), value));
            }
        }
        Self { form: Form::Typed(list) }
    }

    pub fn into_map(self) -> HeaderMap {
        let list = match self.form {
            Form::Typed(list) => list,
            Form::Text(mut text) => text.take_view(),
        };
        let mut map = HeaderMap::with_capacity(list.len());
        for (name, value) in list {
            map.append(name, value);
        }
        map
    }
}
