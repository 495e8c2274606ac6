//! Keyed store of resources: decodes updates resource by resource, so that a bad one costs itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::*;

/// An immutable table: cheap to clone, every resource shared.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub version: String,
    pub trust_bundles: BTreeMap<String, Arc<TrustBundle>>,
    pub certificates: BTreeMap<String, Arc<Certificate>>,
    pub endpoints: BTreeMap<String, Arc<Endpoints>>,
    pub backends: BTreeMap<String, Arc<Backend>>,
    pub gateways: BTreeMap<String, Arc<Gateway>>,
    pub listeners: BTreeMap<String, Arc<Listener>>,
    pub routes: BTreeMap<String, Arc<Route>>,
}

/// Which kinds an update touched; what needs rebuilding follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    pub trust_bundles: bool,
    pub certificates: bool,
    pub endpoints: bool,
    pub backends: bool,
    pub gateways: bool,
    pub listeners: bool,
    pub routes: bool,
}

/// The store behind the live table.
#[derive(Debug, Default)]
pub struct TableStore {
    table: Table,
}

impl TableStore {
    pub fn table(&self) -> &Table {
        &self.table
    }
}
