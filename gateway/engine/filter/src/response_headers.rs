//! ResponseHeaderModifier: set, then add, then remove, on what goes back to the client.

use sekisho_codec::message::Headers;
use sekisho_table::HeaderModifier;

use crate::request_headers::HeaderChanges;

#[derive(Debug)]
pub struct ResponseHeaders(HeaderChanges);

impl ResponseHeaders {
    pub fn compile(modifier: &HeaderModifier) -> Self {
        Self(HeaderChanges::compile(modifier))
    }

    pub fn apply(&self, headers: &mut Headers) {
        self.0.apply(headers);
    }
}
