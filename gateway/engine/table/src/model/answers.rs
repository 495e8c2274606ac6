//! What a reader answers.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Rejection {
    pub kind: String,
    pub key: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ListenerState {
    pub key: String,
    pub bound: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Applied {
    pub version: String,
    #[serde(default)]
    pub rejected: Vec<Rejection>,
    #[serde(default)]
    pub listeners: Vec<ListenerState>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}
