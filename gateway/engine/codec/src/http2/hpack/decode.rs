//! Reading header blocks (RFC 7541, 3 and 6).

use bytes::Bytes;

use super::dynamic::{DynamicTable, ENTRY_OVERHEAD};
use super::field::{Field, Name};
use super::static_table::{self, TABLE};
use super::{HpackError, huffman, integer};

/// A sender says at most the smallest and the last size that applied since its last block (RFC 7541, 4.2).
const MOST_SIZE_UPDATES: u32 = 2;
/// Room for decoded strings that is kept between blocks.
const KEPT_SCRATCH: usize = 512;

#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable,
    /// The largest size that the sender may choose.
    limit: usize,
    scratch: Vec<u8>,
}

impl Decoder {
    pub fn new(limit: usize) -> Self {
        Self { table: DynamicTable::new(limit), limit, scratch: Vec::new() }
    }

    /// Hands each field of a block to `take`, with the size that it counts for (RFC 9113, 10.5.1).
    pub fn decode(&mut self, block: &[u8], mut take: impl FnMut(Field, usize)) -> Result<(), HpackError> {
        let mut at = self.size_updates(block)?;
        while let Some(&first) = block.get(at) {
            if first & 0x80 != 0 {
                let index = integer::read(block, &mut at, 7)?;
                let (field, size) = self.entry(index)?;
                take(field.clone(), size);
            } else if first & 0x40 != 0 {
                let (field, size) = self.literal(block, &mut at, 6, false)?;
                self.table.insert(field.clone(), size);
                take(field, size);
            } else if first & 0x20 != 0 {
                return Err(HpackError("the size of the table changes inside a block"));
            } else {
                let (field, size) = self.literal(block, &mut at, 4, first & 0x10 != 0)?;
                take(field, size);
            }
        }
        if self.scratch.capacity() > KEPT_SCRATCH {
            self.scratch = Vec::new();
        }
        Ok(())
    }

    fn size_updates(&mut self, block: &[u8]) -> Result<usize, HpackError> {
        let (mut at, mut count) = (0, 0);
        while block.get(at).is_some_and(|byte| byte & 0xe0 == 0x20) {
            let size = integer::read(block, &mut at, 5)?;
            count += 1;
            if size > self.limit || count > MOST_SIZE_UPDATES {
                return Err(HpackError("the size of the table is changed against the rules"));
            }
            self.table.resize(size);
        }
        Ok(at)
    }

    fn entry(&self, index: usize) -> Result<(&Field, usize), HpackError> {
        if index > static_table::LENGTH {
            return self.table.get(index - static_table::LENGTH - 1).ok_or(UNKNOWN_INDEX);
        }
        let field = index.checked_sub(1).map(|index| &TABLE[index]).ok_or(UNKNOWN_INDEX)?;
        Ok((field, size_of(field)))
    }

    fn literal(
        &mut self,
        block: &[u8],
        at: &mut usize,
        bits: u32,
        sensitive: bool,
    ) -> Result<(Field, usize), HpackError> {
        let index = integer::read(block, at, bits)?;
        let (name, name_length) = if index == 0 {
            let name = string(block, at, &mut self.scratch)?;
            (Name::parse(name), name.len())
        } else {
            let name = self.entry(index)?.0.name();
            let length = name_length(&name);
            (name, length)
        };
        let value = string(block, at, &mut self.scratch)?;
        let size = name_length + value.len() + ENTRY_OVERHEAD;
        // A copy of its own: an entry of the table must not keep a whole block.
        Ok((Field::new(name, Bytes::copy_from_slice(value), sensitive), size))
    }

    #[cfg(test)]
    pub fn table(&self) -> &DynamicTable {
        &self.table
    }
}

const UNKNOWN_INDEX: HpackError = HpackError("an index names nothing");

/// A string literal (RFC 7541, 5.2).
fn string<'a>(block: &'a [u8], at: &mut usize, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], HpackError> {
    let coded = block.get(*at).is_some_and(|byte| byte & 0x80 != 0);
    let length = integer::read(block, at, 7)?;
    let wire = block.get(*at..*at + length).ok_or(HpackError("a string is cut off"))?;
    *at += length;
    if !coded {
        return Ok(wire);
    }
    scratch.clear();
    huffman::decode(wire, scratch)?;
    Ok(scratch)
}

fn size_of(field: &Field) -> usize {
    let (name, value) = match field {
        Field::Method(method) => (7, method.as_str().len()),
        Field::Scheme(scheme) => (7, scheme.len()),
        Field::Authority(authority) => (10, authority.len()),
        Field::Path(path) => (5, path.len()),
        Field::Status(_) => (7, 3),
        Field::Regular(name, value, _) => (name.as_str().len(), value.len()),
        Field::Malformed(name) => (name_length(name), 0),
    };
    name + value + ENTRY_OVERHEAD
}

fn name_length(name: &Name) -> usize {
    match name {
        Name::Method | Name::Scheme | Name::Status => 7,
        Name::Authority => 10,
        Name::Path => 5,
        Name::Regular(name, _) => name.as_str().len(),
        Name::Malformed => 0,
    }
}
